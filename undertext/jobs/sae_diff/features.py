"""The features of one SAE followed from base to tuned, and their effects on answers in both."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.pair import Pair
from undertext.core.job import JobRun
from undertext.core.resume import Done, Part
from undertext.core.terms import ROLES, FeatureOperator
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.measures.features.association import most_associated
from undertext.measures.features.columns import best_columns, classes_table, numbers, rows_table
from undertext.measures.features.effects import (
    FeatureEffect,
    RightAnswers,
    effect_rows,
    feature_effect,
    right_answers,
)
from undertext.measures.features.encoding import encode_split
from undertext.measures.features.fates import (
    associated,
    matched_fates,
    matching_scales,
    mean_norms,
    own_size_fates,
    own_size_firings,
)
from undertext.measures.features.opening import OpenedSae
from undertext.measures.features.rule import FeatureRule
from undertext.saes import (
    FATES,
    Fates,
    Matched,
    SortedFates,
    decoder_directions,
    feature_page,
    match_controls,
    sort_fates,
)
from undertext.tasks.draws import drawn
from undertext.tasks.task import Task

CONTROL_SEED = 31


class Findings(NamedTuple):
    """What goes into the summary and the tables of `sae diff`."""

    summary: dict[str, Any]
    tables: dict[str, pa.Table]


def follow_features(
    run: JobRun, opened: OpenedSae, pair: Pair, task: Task, config: DiffConfig, rule: FeatureRule
) -> Findings:
    """Fates of every feature, and effects on answers of those most associated with the task's values."""
    directions = decoder_directions(opened.sae)
    norms_of = partial(mean_norms, opened, pair, task, config.choose, config.skip)
    (norms,) = run.make([Part("norms", lambda _: norms_of())])
    scales = matching_scales(norms, config.trained_on)
    encode = partial(encode_split, opened, pair, scales, task)
    (chosen,) = run.make([Part("encoding/chosen", lambda _: encode(config.choose, config), stage="encoding")])
    own_size = partial(own_size_firings, opened, pair, task, config.split, config.skip, scales)
    encoded, unscaled = run.make(
        [
            Part(
                "encoding/reported", lambda _: encode(config.split, config, chosen.labels), stage="encoding"
            ),
            Part("encoding/own_size", lambda _: own_size(), stage="encoding"),
        ]
    )
    fates = matched_fates(encoded, scales)
    matched, at_own_size = (sort_fates(one, rule.fates) for one in (fates, own_size_fates(encoded, unscaled)))
    own = ROLES.index(config.trained_on)
    alive = chosen.frequency[own] >= rule.fates.alive
    top = most_associated(chosen.associations[own], alive, max(config.pages, config.effects))
    effects: list[FeatureEffect] = []
    if tested := top[: config.effects]:
        controls = match_controls(
            directions,
            chosen.frequency[own],
            tested,
            controls=config.controls,
            seed=config.seed + CONTROL_SEED,
        )
        # A strength is of the scaled activations; a clamp acts on those of the checkpoint itself.
        held = chosen.strength[own][tested] * directions[tested].norm(dim=1)
        strengths = torch.stack([held / scale for scale in scales])
        effects = _effects(run, opened, pair, task, config, controls, strengths, rule.level)
    with run.bars.stage("pages"):
        pages = [
            feature_page(feature, directions[feature], encoded.texts, pair) for feature in top[: config.pages]
        ]
    associations = dict(zip(ROLES, encoded.associations, strict=True))
    columns = _columns(fates, matched, at_own_size) | best_columns(chosen.associations[own], associations)
    tables = {"features": pa.table(columns), "classes": classes_table(chosen, encoded, ROLES, own)}
    if effects:
        tables["effects"] = rows_table(effect_rows(effects))
    if pages:
        tables["pages"] = rows_table([asdict(page) for page in pages])
    summary = {
        "hook_point": str(opened.point),
        "tokens": fates.rows,
        "features": len(directions),
        "alive": {role: int((fates.frequency[m] >= rule.fates.alive).sum()) for m, role in enumerate(ROLES)},
        "mean_norm": dict(zip(ROLES, norms, strict=True)),
        "scales": dict(zip(ROLES, scales, strict=True)),
        "fates": matched.shares(),
        "fates_at_own_size": at_own_size.shares(),
        "associated": associated(chosen, encoded, matched, own),
        "most_associated": top[: config.pages],
        "effects": [asdict(effect) for effect in effects],
    }
    return Findings(summary, tables)


def _effects(
    run: JobRun,
    opened: OpenedSae,
    pair: Pair,
    task: Task,
    config: DiffConfig,
    matched: Matched,
    strengths: Float[Tensor, "model f"],
    level: float,
) -> list[FeatureEffect]:
    """Every feature in both checkpoints by every operator; each is a part."""
    problems = drawn(task.split(config.split), config.seed, config.effect_problems)
    changes = [
        (operator, m, f, float(strengths[m, f]) if operator == "clamp" else 1.0)
        for operator in dict.fromkeys(config.operators)
        for m in range(len(pair))
        for f in range(len(matched.features))
    ]
    features = matched.features.tolist()

    def answer(operator: FeatureOperator, m: int, f: int, dose: float, done: Done) -> RightAnswers:
        one, size = _one(matched, f), config.batch_size
        return right_answers(
            pair[m], task, problems, one, opened.point, operator, dose, batch_size=size, progress=done
        )

    parts = [
        Part(
            f"effects/{operator}/{ROLES[m]}/{features[f]}",
            partial(answer, operator, m, f, dose),
            units=(2 + matched.controls.shape[1]) * len(problems),
            stage="effects on answers",
        )
        for operator, m, f, dose in changes
    ]
    return [
        feature_effect(features[f], ROLES[m], operator, dose, right, level)
        for (operator, m, f, dose), right in zip(changes, run.make(parts), strict=True)
    ]


def _one(matched: Matched, f: int) -> Matched:
    own = slice(f, f + 1)
    return Matched(matched.features[own], matched.controls[own], matched.frequency[own], matched.vectors[own])


def _columns(fates: Fates, matched: SortedFates, at_own_size: SortedFates) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "feature": list(range(len(matched.index))),
        "fate": _named(matched),
        "fate_at_own_size": _named(at_own_size),
    }
    for m, role in enumerate(ROLES):
        columns[f"frequency_{role}"] = fates.frequency[m].tolist()
        columns[f"strength_{role}"] = numbers(fates.strength[m])
    return columns | {name: numbers(getattr(fates, name)) for name in ("correlation", "precision", "recall")}


def _named(fates: SortedFates) -> Sequence[str]:
    return [FATES[i] for i in fates.index.tolist()]
