"""One SAE read in base and tuned: what became of each of its features, and what they do in each."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import torch

from undertext.activations.capture import capture
from undertext.activations.pair import Pair
from undertext.activations.spans import TokenSpan
from undertext.core.progress import Progress
from undertext.core.resume import JobFolder
from undertext.jobs.sae_features.config import DiffConfig
from undertext.jobs.sae_features.job import KINDS, best_columns, classes_table, plain
from undertext.measures.features.association import best_of, ranked
from undertext.measures.features.effects import MODELS, Effect, effect_rows, measure_effects
from undertext.measures.features.encoding import Read, labels_of, read_split
from undertext.measures.features.labels import tokens_of
from undertext.measures.features.opening import Opened
from undertext.measures.features.rule import FeatureRule
from undertext.saes import (
    FATES,
    Fates,
    FeaturePage,
    PairFirings,
    SortedFates,
    decoder_directions,
    feature_page,
    follow,
    match_controls,
    read_texts,
    sort_fates,
)
from undertext.tasks.task import Task

CONTROL_SEED = 31


@dataclass(frozen=True, eq=False)
class Followed:
    """What `sae diff` finds with an SAE."""

    summary: dict[str, Any]
    pages: tuple[FeaturePage, ...]
    tables: dict[str, pa.Table]


def follow_features(
    opened: Opened,
    pair: Pair,
    task: Task,
    config: DiffConfig,
    rule: FeatureRule,
    level: float,
    folder: JobFolder | None,
    bars: Progress,
) -> Followed:
    """Follow every feature from base to tuned; effects on answers of those that tell the most."""
    with bars.stage("reading", 4) as done:
        norms = _mean_norms(opened, pair, task, config)
        done(1)
        scales = (1.0, norms[0] / norms[1]) if config.trained_on == "base" else (norms[1] / norms[0], 1.0)
        chosen = read_split(opened, pair, scales, task, config.choose, config)
        done(1)
        read = read_split(opened, pair, scales, task, config.split, config, labels_of(chosen))
        done(1)
        fates = _fates(read, scales)
        found = sort_fates(fates, rule.fates)
        as_they_are = sort_fates(_unscaled(opened, pair, task, config, read, scales), rule.fates)
        done(1)
    own = MODELS.index(config.trained_on)
    alive = chosen.frequency[own] >= rule.fates.alive
    count = max(config.pages, config.effects)
    top = ranked(chosen.told[own], alive, count)[:count]
    directions = decoder_directions(opened.sae)
    effects: list[Effect] = []
    if config.effects:
        tested = top[: config.effects]
        matched = match_controls(
            directions,
            chosen.frequency[own],
            tested,
            controls=config.controls,
            seed=config.seed + CONTROL_SEED,
        )
        # A strength is of the scaled activations; a clamp acts on those of the checkpoint itself.
        held = chosen.strength[own][tested] * directions[tested].norm(dim=1)
        strengths = torch.stack([held / scale for scale in scales])
        effects = measure_effects(pair, task, matched, opened.point, strengths, config, level, folder, bars)
    with bars.stage("pages"):
        pages = tuple(
            feature_page(feature, directions[feature], read.texts, pair) for feature in top[: config.pages]
        )
    best = {kind: best_of(kind, chosen.told[own], *read.told) for kind in KINDS}
    columns: dict[str, Any] = {"feature": list(range(len(directions))), "fate": _named(found)}
    columns["fate_at_own_size"] = _named(as_they_are)
    for m, model in enumerate(MODELS):
        columns[f"frequency_{model}"] = fates.frequency[m].tolist()
        columns[f"strength_{model}"] = plain(fates.strength[m])
    for name in ("correlation", "precision", "recall"):
        columns[name] = plain(getattr(fates, name))
    for kind, each in best.items():
        if each is not None:
            columns |= best_columns(kind, each, MODELS)
    tables = {"features": pa.table(columns), "classes": classes_table(chosen, read, MODELS, own)}
    if effects:
        tables["effects"] = pa.Table.from_pylist(effect_rows(effects))
    return Followed(
        summary={
            "hook_point": str(opened.point),
            "tokens": fates.rows,
            "features": len(directions),
            "alive": {m: int((fates.frequency[i] >= rule.fates.alive).sum()) for i, m in enumerate(MODELS)},
            "mean_norm": dict(zip(MODELS, norms, strict=True)),
            "scales": dict(zip(MODELS, scales, strict=True)),
            "fates": found.shares(),
            "fates_at_own_size": as_they_are.shares(),
            "carriers": _carriers(chosen, read, found, own),
            "top": top[: config.pages],
            "effects": [asdict(each) for each in effects],
        },
        pages=pages,
        tables=tables,
    )


def _mean_norms(opened: Opened, pair: Pair, task: Task, config: DiffConfig) -> tuple[float, float]:
    """Of the activations at the SAE's hook point, on the split that features are chosen on."""
    tokens = tokens_of(pair.base, task.split(config.choose))
    places = [TokenSpan(config.skip) for _ in tokens]
    norms = [
        float(capture(each, tokens, [opened.point], places)[opened.point].norm(dim=-1).mean())
        for each in pair
    ]
    return norms[0], norms[1]


def _fates(read: Read, scales: tuple[float, float]) -> Fates:
    """By firing, and by what is told of all values: classes of every value one after the other."""
    base, tuned = (each.firings for each in read.texts)
    fates = follow(PairFirings(base, tuned, scales))
    told = [[each.auroc for each in one if each.labels.kind == "value"] for one in read.told]
    if not told[0]:
        return fates
    auroc = torch.stack([torch.cat(each) for each in told])
    there = ~auroc.isnan().any(dim=(0, 2))
    return replace(fates, auroc=auroc[:, there]) if there.any() else fates


def _unscaled(
    opened: Opened, pair: Pair, task: Task, config: DiffConfig, read: Read, scales: tuple[float, float]
) -> Fates:
    """Fates by firing alone, with the activations at their own size."""
    tokens = tokens_of(pair.base, task.split(config.split))
    firings = [
        each.firings
        if scale == 1.0
        else read_texts(opened.sae, checkpoint, tokens, opened.point, skip=config.skip).firings
        for each, checkpoint, scale in zip(read.texts, pair, scales, strict=True)
    ]
    return follow(PairFirings(firings[0], firings[1]))


def _carriers(chosen: Read, read: Read, fates: SortedFates, own: int) -> list[dict[str, Any]]:
    """For each class of each value the feature that tells it best, and what became of that."""
    rows = []
    for i, told in enumerate(chosen.told[own]):
        if told.labels.kind == "value":
            best = told.auroc.nan_to_num(0.5).argmax(dim=1)
            for c, feature in enumerate(best.tolist()):
                auroc = {m: float(read.told[k][i].auroc[c, feature]) for k, m in enumerate(MODELS)}
                fate = FATES[int(fates.index[feature])]
                rows.append(
                    {
                        "value": told.labels.name,
                        "class": told.labels.classes[c],
                        "feature": feature,
                        "auroc": auroc,
                        "fate": fate,
                    }
                )
    return rows


def _named(fates: SortedFates) -> list[str]:
    return [FATES[i] for i in fates.index.tolist()]
