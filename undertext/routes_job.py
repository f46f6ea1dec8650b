"""`routes`: ways to elicit what a checkpoint may hold, on the same problems, within the same tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from activations.pair import check_pair
from steering import SteeringVector
from undertext.config import RoutesConfig, verdict_rule
from undertext.evidence.behaviour import answers
from undertext.evidence.recovered import recovered_gap
from undertext.evidence.recovery import RUNGS, Recovery, Search, recover, search, search_settings
from undertext.evidence.routes import Outcome, decoded, fitted, kappa, prompted
from undertext.evidence.vectors import offered_vectors
from undertext.preparing import FITTING, check_task_fits, loaded, sae_of, splits_of
from undertext.progress import Progress
from undertext.runs import layers_of, threads
from undertext.statistics import Estimate, bootstrap, proportion
from undertext.tables import schema_of, three
from undertext.tasks.load import load_task
from undertext.tasks.task import Task


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
    agreement: Mapping[str, Mapping[tuple[str, str], float]]
    """By split and two routes: Cohen's kappa of which problems they get right. pass@k counts as right
    where any sample is."""
    notes: Sequence[str]
    tables: Mapping[str, pa.Table] = field(repr=False)
    """`routes`: a row a split and route. `agreement`: a row a split and pair of routes."""


def routes(
    checkpoint: Any,
    stronger: Any,
    task: str | Path | Task,
    *,
    vectors: Sequence[SteeringVector] = (),
    config: RoutesConfig | None = None,
    progress: bool | None = None,
) -> Routes:
    """How much of the gap each route recovers, and whether they recover the same problems.

    Steering with the best vector that knows the weaker checkpoint only; with the best of the `vectors`
    given (of a probe, or a row of an SAE's decoder); decoding; a prompt; and, as a reference that is
    training, a fitted bias. No route writes more than `budget` rows of `max_new_tokens` a problem; how
    much it does write, `Outcome.tokens` says. Raises UserError as `steer`.
    """
    config = config or RoutesConfig()
    bars = Progress(progress)
    task = task if isinstance(task, Task) else load_task(task)
    splits, level, notes = splits_of(task, config), verdict_rule().level, []
    with threads(config.threads):
        with bars.stage("loading"):
            pair = check_pair(loaded(checkpoint, config), loaded(stronger, config))
        weaker, above = pair.base, pair.tuned
        for split in dict.fromkeys([*FITTING, *splits]):
            for each in pair:
                check_task_fits(each, task, split)
        layers = layers_of(weaker, config.layers, config.max_layers)
        with bars.stage("vectors"):
            offered = offered_vectors(weaker, above, task, config, vectors, sae_of(config))
        notes += offered.notes
        problems = min(len(task.split("dev")), config.search_problems)
        with bars.stage("search", problems * len(search_settings(offered, layers, config))) as done:
            found = search(weaker, task, offered, layers, config, done)
        by_split: dict[str, list[Route]] = {}
        for split in splits:
            items = task.split(split)
            low, high = (answers(each, task, items, config) for each in pair)
            with bars.stage(f"routes on {split}"):
                outcomes = [
                    *_steered(found, recover(weaker, task, split, found, config), vectors),
                    *decoded(weaker, task, items, config),
                    *prompted(weaker, task, items, config, notes),
                    fitted(weaker, task, items, layers, config),
                ]
            by_split[split] = [
                Route(
                    each,
                    _accuracy(each, config.seed, level),
                    recovered_gap(each.right, low.lenient, high.lenient, seed=config.seed, level=level),
                )
                for each in outcomes
            ]
    agreement = {
        split: {
            (a.outcome.name, b.outcome.name): kappa(a.outcome.right >= 0.5, b.outcome.right >= 0.5)
            for a, b in product(found_here, repeat=2)
        }
        for split, found_here in by_split.items()
    }
    tables = {"routes": _rows(by_split), "agreement": _agreement_rows(agreement)}
    return Routes(
        by_split,
        agreement,
        list(dict.fromkeys(notes)),
        {name: pa.Table.from_pylist(rows, schema=schema_of(rows)) for name, rows in tables.items()},
    )


def _steered(found: Search, recovery: Recovery, given: Sequence[SteeringVector]) -> list[Outcome]:
    """The best vector on dev that knows no more than the weaker checkpoint, and the best of those given."""
    names = {vector.name for vector in given}
    own = [
        name
        for name in found.best
        if name not in found.offered.controls
        and name not in names
        and found.offered.oracles[name] == RUNGS[0]
    ]
    outcomes = []
    for kind, some in (("vector", own), ("given direction", [*names])):
        best = max(sorted(some), key=lambda name: found.accuracy(found.best[name]), default=None)
        if best is not None:
            right, tokens = recovery.lenient[best].astype(float), recovery.tokens[best]
            outcomes.append(
                Outcome(f"{kind}, {best}", kind, right, tokens, found.offered.oracles[best])  # type: ignore[arg-type]
            )
    return outcomes


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
            **three("accuracy", route.accuracy),
            **three("recovered", route.gap),
        }
        for split, found in by_split.items()
        for route in found
    ]


def _agreement_rows(agreement: Mapping[str, Mapping[tuple[str, str], float]]) -> list[dict[str, Any]]:
    return [
        {"split": split, "route": one, "other": other, "kappa": value}
        for split, found in agreement.items()
        for (one, other), value in found.items()
    ]
