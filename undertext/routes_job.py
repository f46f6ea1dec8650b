"""`routes`: ways to elicit what a checkpoint may hold, on the same problems, within the same tokens."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from activations.pair import check_pair
from steering import SteeringVector
from undertext.config import RoutesConfig, verdict_rule
from undertext.evidence.recovered import recovered_gap
from undertext.evidence.routes import Outcome, kappa
from undertext.job_folder import JobFolder
from undertext.preparing import FITTING, check_task_fits, described, loaded, splits_of
from undertext.progress import Progress
from undertext.report.publish import check_writable
from undertext.routes_kept import Group, KeptGroups, vectors_digest
from undertext.routes_run import UNAIDED, Ways
from undertext.runs import layers_of, task_described, threads, versions
from undertext.statistics import Estimate, bootstrap, proportion
from undertext.tables import schema_of, three
from undertext.tasks.load import load_task
from undertext.tasks.task import Task

WORK_ONLY = {"batch_size"}
"""Settings that change how the work is done, and no figure: a job goes on under others."""


@dataclass(frozen=True)
class Route:
    """One route on one split."""

    outcome: Outcome
    accuracy: Estimate
    gap: Estimate | None
    """Recovered gap, signed, unclamped, paired bootstrap interval; None where there is no gap."""


@dataclass(frozen=True)
class Routes:
    """The answer of `undertext.routes`."""

    splits: Mapping[str, Sequence[Route]]
    unaided: Mapping[str, Mapping[str, Estimate]]
    """By split: lenient greedy accuracy of `weaker` and `stronger`."""
    agreement: Mapping[str, Mapping[tuple[str, str], float]]
    """By split and two routes: Cohen's kappa of which problems they get right. pass@k counts as right
    where any sample is."""
    notes: Sequence[str]
    run: Mapping[str, Any]
    """Which job it was, and timings."""
    tables: Mapping[str, pa.Table] = field(repr=False)
    """`routes`: a row a split and route. `agreement`: a row a split and pair of routes, with `kappa` and
    with `alike`, the share of problems that both get right or both wrong."""

    def to_dict(self) -> dict[str, Any]:
        """routes.json as plain values."""
        return {
            "unaided": {
                split: {name: asdict(each) for name, each in accuracy.items()}
                for split, accuracy in self.unaided.items()
            },
            "routes": self.tables["routes"].to_pylist(),
            "agreement": self.tables["agreement"].to_pylist(),
            "notes": list(self.notes),
        }

    def save(self, out: str | Path) -> Path:
        """Write routes.json, run.json, figures/ and tables/ under `out`, whole or not at all.

        Raises UserError when `out` cannot be written.
        """
        from undertext.report.routes import save

        return save(self, Path(out))

    def figures(self) -> dict[str, Any]:
        """`routes`: the gap that each recovers; `agreement`: their kappas. matplotlib figures."""
        from undertext.report.routes import figures

        return figures(self)


def routes(
    checkpoint: Any,
    stronger: Any,
    task: str | Path | Task,
    *,
    vectors: Sequence[SteeringVector] = (),
    features: Sequence[SteeringVector] = (),
    feature_controls: Sequence[SteeringVector] = (),
    config: RoutesConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> Routes:
    """How much of the gap each route recovers, and whether they recover the same problems.

    Steering with the best vector that knows the weaker checkpoint only, beside the best random direction;
    with the best of the `vectors` given; with the best of the `features` (rows of an SAE's decoder as
    vectors), beside the best of the `feature_controls` (random features like them); decoding; a prompt;
    and, as references that are training, a fitted bias, vectors trained by the grader's reward, and a copy
    of all weights so trained. All steering goes through one search. No route writes more than `budget` rows
    of `max_new_tokens` a problem; how much it does write, `Outcome.tokens` says, and what it was trained
    on `Outcome.training_tokens`. The checkpoints stay as they are.

    With `out`, results are written there, each group of routes on each split as soon as it is whole: a job
    that was killed goes on where it was when it is called again. Raises UserError as `steer`.
    """
    config = config or RoutesConfig()
    start = perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    folder = None if out is None else Path(out)
    if folder is not None:
        check_writable(folder)
    task = task if isinstance(task, Task) else load_task(task)
    splits, level = splits_of(task, config), verdict_rule().level
    with threads(config.threads):
        with bars.stage("loading"):
            pair = check_pair(loaded(checkpoint, config), loaded(stronger, config))
        for split in dict.fromkeys([*FITTING, *splits]):
            for each in pair:
                check_task_fits(each, task, split)
        layers = layers_of(pair.base, config.layers, config.max_layers)
        ways = Ways(pair, task, config, layers, vectors, features, feature_controls, bars, _sweeps(folder))
        job = {
            "config": config.model_dump(mode="json", exclude=WORK_ONLY),
            "checkpoint": pair.base.fingerprint,
            "stronger": pair.tuned.fingerprint,
            "task": task_described(task)["fingerprint"],
            "vectors": vectors_digest(vectors),
            "features": vectors_digest(features),
            "feature_controls": vectors_digest(feature_controls),
        }
        parts = None if folder is None else JobFolder(folder)
        with nullcontext() if parts is None else parts.open(job):
            groups = _all(ways.by_name(), splits, KeptGroups(parts))
    found = _judged(groups, splits, config.seed, level)
    run = {
        **job,
        "described": {
            "checkpoint": described(pair.base),
            "stronger": described(pair.tuned),
            "task": task_described(task),
        },
        "versions": versions(),
        "timings_s": {name: round(seconds, 3) for name, seconds in bars.timings.items()},
        "elapsed_s": round(perf_counter() - start, 3),
    }
    whole = _gathered(found, groups, splits, level, run)
    if folder is not None:
        whole.save(folder)
    return whole


def _sweeps(out: Path | None) -> Callable[[str], Path | None]:
    """Where the rows of the sweep on a split are kept."""
    return lambda split: None if out is None else JobFolder(out).path("sweep") / split


def _all(
    ways: Mapping[str, Callable[[str], Group]], splits: Sequence[str], kept: KeptGroups
) -> dict[tuple[str, str], Group]:
    """Every group on every split, those that are kept read. What one group has made serves all its splits."""
    groups = {}
    for (name, way), split in product(ways.items(), splits):
        group = kept.read(split, name)
        if group is None:
            group = way(split)
            kept.keep(split, name, group)
        groups[name, split] = group
    return groups


def _judged(
    groups: Mapping[tuple[str, str], Group], splits: Sequence[str], seed: int, level: float
) -> dict[str, list[Route]]:
    by_split = {}
    for split in splits:
        low, high = (each.right for each in groups[UNAIDED, split].outcomes)
        by_split[split] = [
            Route(
                each,
                _accuracy(each, seed, level),
                recovered_gap(each.right, low, high, seed=seed, level=level),
            )
            for (name, on), group in groups.items()
            if on == split and name != UNAIDED
            for each in group.outcomes
        ]
    return by_split


def _gathered(
    found: Mapping[str, Sequence[Route]],
    groups: Mapping[tuple[str, str], Group],
    splits: Sequence[str],
    level: float,
    run: Mapping[str, Any],
) -> Routes:
    agreement = {
        split: {
            (a.outcome.name, b.outcome.name): kappa(a.outcome.right >= 0.5, b.outcome.right >= 0.5)
            for a, b in product(here, repeat=2)
        }
        for split, here in found.items()
    }
    tables = {"routes": _rows(found), "agreement": _agreement_rows(found, agreement)}
    return Routes(
        splits=found,
        unaided={
            split: {each.name: proportion(each.right, level) for each in groups[UNAIDED, split].outcomes}
            for split in splits
        },
        agreement=agreement,
        notes=list(dict.fromkeys(note for group in groups.values() for note in group.notes)),
        run=run,
        tables={name: pa.Table.from_pylist(rows, schema=schema_of(rows)) for name, rows in tables.items()},
    )


def _accuracy(outcome: Outcome, seed: int, level: float) -> Estimate:
    if set(np.unique(outcome.right)) <= {0.0, 1.0}:
        return proportion(outcome.right, level)
    return bootstrap(lambda data: data[..., 0].mean(-1), outcome.right[:, None], seed=seed, level=level)


def _rows(by_split: Mapping[str, Sequence[Route]]) -> list[dict[str, Any]]:
    return [
        {
            "split": split,
            "route": route.outcome.name,
            "kind": route.outcome.kind,
            "training": route.outcome.trained,
            "knows": route.outcome.knows,
            "tokens": route.outcome.tokens,
            "training_tokens": route.outcome.training_tokens,
            **three("accuracy", route.accuracy),
            **three("recovered", route.gap),
        }
        for split, found in by_split.items()
        for route in found
    ]


def _agreement_rows(
    by_split: Mapping[str, Sequence[Route]], agreement: Mapping[str, Mapping[tuple[str, str], float]]
) -> list[dict[str, Any]]:
    rows = []
    for split, found in by_split.items():
        right = {route.outcome.name: route.outcome.right >= 0.5 for route in found}
        for (one, other), value in agreement[split].items():
            alike = float((right[one] == right[other]).mean())
            rows.append({"split": split, "route": one, "other": other, "kappa": value, "alike": alike})
    return rows
