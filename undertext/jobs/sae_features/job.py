"""`feature_table`: what every feature of an SAE carries in one checkpoint, and what it withstands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.core.output import check_writable
from undertext.core.progress import Progress
from undertext.core.setup import checkpoint_record, open_checkpoint, threads, versions
from undertext.jobs.sae_features.config import FeaturesConfig
from undertext.measures.features.association import Best, best_of, ranked
from undertext.measures.features.encoding import Read, check_splits, labels_of, read_split
from undertext.measures.features.falsification import Trials, undergo, words_for
from undertext.measures.features.labels import LabelKind
from undertext.measures.features.opening import open_sae
from undertext.measures.features.rule import FeatureRule, feature_rule
from undertext.saes import FeaturePage, decoder_directions, feature_page
from undertext.tasks.open import check_fits, open_task, task_record
from undertext.tasks.task import Task

KINDS: tuple[LabelKind, ...] = ("value", "part", "valid")


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The answer of `feature_table`."""

    summary: Mapping[str, Any]
    """features.json: who was read, shares of features that fail, words, notes."""
    pages: tuple[FeaturePage, ...]
    """Of the features that tell the most, in that order."""
    table: pa.Table = field(repr=False)
    """A row a feature; docs/saes.md says what each column holds."""
    classes: pa.Table = field(repr=False)
    """A row for each feature and class of each labelling: its AUROC on both splits."""
    run: Mapping[str, Any] = field(repr=False)
    """Config, rule, versions, times."""

    def save(self, out: str | Path) -> Path:
        """Write features.parquet, classes.parquet, features.json, report.html and run.json; `out`."""
        from undertext.jobs.sae_features.report import save_table

        return save_table(self, Path(out))


def feature_table(
    checkpoint: Any,
    task: str | Path | Task,
    sae: str | Path,
    *,
    sae_id: str | None = None,
    config: FeaturesConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> FeatureTable:
    """Every feature of `sae` against the task's values and steps, and through the trials.

    `checkpoint` is whatever `Checkpoint.load` takes, a Checkpoint or `zoo:NAME`; `sae` a folder that
    sae-lens saved, or a release with its `sae_id`. What is chosen (the class a feature tells best, which
    features have a page) is chosen on one split and reported on another.

    Raises UserError, before any long work where it can be told, for what cannot be loaded, an SAE of another
    hook point or width, a split that the task lacks, and words that the tokenizer lacks.
    """
    config, rule, start = config or FeaturesConfig(), feature_rule(), perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    if out is not None:
        check_writable(Path(out))
    task = open_task(task)
    check_splits(task, config)
    with threads(config.threads):
        with bars.stage("loading"):
            if not isinstance(checkpoint, Checkpoint):
                given = open_checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
                checkpoint = Checkpoint.load(given, device=config.device)
            for split in (config.choose, config.split):
                check_fits(checkpoint, task, split)
            words = words_for(checkpoint, task.split(config.split), config)
            opened = open_sae(sae, sae_id, checkpoint, config)
        with bars.stage("reading", 2) as done:
            chosen = read_split(opened, [checkpoint], [1.0], task, config.choose, config)
            done(1)
            read = read_split(opened, [checkpoint], [1.0], task, config.split, config, labels_of(chosen))
            done(1)
        with bars.stage("trials"):
            trials = undergo(opened, checkpoint, task.split(config.split), read.texts[0], words, config)
        alive = chosen.frequency[0] >= rule.fates.alive
        top = ranked(chosen.told[0], alive, config.pages) if config.pages else []
        directions = decoder_directions(opened.sae)
        with bars.stage("pages"):
            pages = tuple(
                feature_page(feature, directions[feature], read.texts, [checkpoint]) for feature in top
            )
    best = {kind: best_of(kind, chosen.told[0], read.told[0]) for kind in KINDS}
    table = pa.table(_columns(read, best, trials, rule))
    result = FeatureTable(
        summary={
            "checkpoint": checkpoint_record(checkpoint),
            "task": task_record(task),
            "sae": {"source": str(sae), "sae_id": sae_id},
            "hook_point": str(opened.point),
            "splits": {"chosen": config.choose, "reported": config.split},
            "tokens": read.texts[0].firings.n,
            "features": len(directions),
            "alive": int((read.frequency[0] >= rule.fates.alive).sum()),
            **_shares(trials, rule, top),
            "top": top,
            "words": list(trials.words),
            "plain_texts": trials.plain,
            "notes": trials.notes,
        },
        pages=pages,
        table=table,
        classes=classes_table(chosen, read, ("",)),
        run={
            "config": config.model_dump(mode="json"),
            "rule": rule.plain(),
            "versions": versions(),
            "timings_s": {name: round(seconds, 3) for name, seconds in bars.timings.items()},
            "elapsed_s": round(perf_counter() - start, 3),
        },
    )
    if out is not None:
        result.save(out)
    return result


def _shares(trials: Trials, rule: FeatureRule, top: list[int]) -> dict[str, Any]:
    """How many fail: of all that were tested, and of those that tell the most."""
    fails, tested = trials.corrected.fails(rule.shift), trials.tested
    words, wording = trials.corrected.word_detectors(rule.shift), trials.corrected.wording_bound(rule.shift)
    among = torch.zeros_like(tested)
    among[top] = True

    def share(of: Tensor, which: Tensor) -> float | None:
        return float(of[which].double().mean()) if which.any() else None

    return {
        name: {
            "features": int(which.sum()),
            "fail": share(fails, which),
            "word_detectors": share(words, which),
            "wording_bound": None if trials.raw.paraphrase is None else share(wording, which),
            "fail_uncorrected": share(trials.raw.fails(rule.shift), which),
        }
        for name, which in (("tested", tested), ("tell_the_most", among & tested))
    }


def _columns(
    read: Read, best: Mapping[LabelKind, Best | None], trials: Trials, rule: FeatureRule
) -> dict[str, Any]:
    n = read.frequency.shape[1]
    columns: dict[str, Any] = {
        "feature": list(range(n)),
        "frequency": read.frequency[0].tolist(),
        "strength": plain(read.strength[0]),
    }
    for kind, found in best.items():
        if found is not None:
            columns |= best_columns(kind, found, ("",))
    columns["reason_score"] = [None] * n if trials.reason_score is None else trials.reason_score.tolist()
    raw, holm, test = trials.raw, trials.corrected, rule.shift.test
    columns |= {
        "tested": trials.tested.tolist(),
        "injection_d": plain(raw.injection.d),
        "injection_p": plain(raw.injection.p(test)),
        "injection_p_holm": plain(holm.injection.p(test)),
        "transfer": plain(raw.transfer),
    }
    for name in ("d", "p", "p_holm"):
        each = holm.paraphrase if name == "p_holm" else raw.paraphrase
        values = None if each is None else each.d if name == "d" else each.p(test)
        columns[f"paraphrase_{name}"] = pa.array(
            [None] * n if values is None else plain(values), pa.float64()
        )
    none = None if raw.paraphrase is not None else [None] * n
    columns["word_detector"] = holm.word_detectors(rule.shift).tolist()
    columns["wording_bound"] = pa.array(none or holm.wording_bound(rule.shift).tolist(), pa.bool_())
    columns["fails"] = holm.fails(rule.shift).tolist()
    return columns


def best_columns(kind: str, best: Best, models: tuple[str, ...]) -> dict[str, Any]:
    """Columns of what features tell best of a kind of labels; `models` end the names, as in `auroc_base`."""
    columns: dict[str, Any] = {f"{kind}_class": best.cls, f"{kind}_auroc_chosen": plain(best.chosen)}
    if kind == "value":
        columns = {"value": best.name, **columns}
    for model, auroc, information in zip(models, best.auroc, best.information, strict=True):
        end = f"_{model}" if model else ""
        columns |= {f"{kind}_auroc{end}": plain(auroc), f"{kind}_information{end}": plain(information)}
    return columns


def classes_table(chosen: Read, read: Read, models: tuple[str, ...], own: int = 0) -> pa.Table:
    """The AUROC of every feature for every class; `own` is the checkpoint in which they are chosen."""
    parts = []
    for i, told in enumerate(chosen.told[own]):
        labels = told.labels
        for c, cls in enumerate(labels.classes):
            n = told.auroc.shape[1]
            columns: dict[str, Any] = {
                "feature": list(range(n)),
                "kind": [labels.kind] * n,
                "name": [labels.name] * n,
                "class": [cls] * n,
                "auroc_chosen": pa.array(plain(told.auroc[c]), pa.float64()),
            }
            for model, reported in zip(models, read.told, strict=True):
                name = f"auroc_{model}" if model else "auroc"
                columns[name] = pa.array(plain(reported[i].auroc[c]), pa.float64())
            parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def plain(values: Tensor) -> list[float | None]:
    """Numbers, with nothing where there is none."""
    return [None if value != value else value for value in values.double().tolist()]
