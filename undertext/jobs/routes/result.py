"""The answer of `routes`: every route on every split, judged, and as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from undertext.core.statistics import Estimate, bootstrap, proportion
from undertext.jobs.routes.groups import UNAIDED
from undertext.jobs.routes.kept import RouteGroup
from undertext.measures.recovery.estimate import recovered_gap
from undertext.measures.recovery.routes import Outcome, kappa
from undertext.measures.recovery.rows import schema_of, three


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
        from undertext.jobs.routes.report import save

        return save(self, Path(out))

    def figures(self) -> dict[str, Any]:
        """`routes`: the gap that each recovers; `agreement`: their kappas. matplotlib figures."""
        from undertext.jobs.routes.report import figures

        return figures(self)


def gathered(
    groups: Mapping[tuple[str, str], RouteGroup],
    splits: Sequence[str],
    *,
    seed: int,
    level: float,
    run: Mapping[str, Any],
) -> Routes:
    """The answer, of groups by name and split."""
    found = _judged(groups, splits, seed, level)
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


def _judged(
    groups: Mapping[tuple[str, str], RouteGroup], splits: Sequence[str], seed: int, level: float
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
