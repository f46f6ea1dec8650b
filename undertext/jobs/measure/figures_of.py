"""From figures per problem to estimates with intervals: of each checkpoint, and of the change."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.core.statistics import (
    Clusters,
    Estimate,
    among,
    bootstrap,
    only,
    paired_difference,
    proportion,
    ratio_intervals,
    resample_weights,
)
from undertext.core.terms import ROLES, Role
from undertext.measures.trace.uncertainty import area_under_roc

LEVEL = 0.95
LEAST = 2
"""Fewest problems of which a figure is given."""
Kind = Literal["share", "bounded", "difference", "mean", "ratio", "statistic", "roc"]
"""What a figure is of: a yes or no a problem; a number from 0 to 1; one from -1 to 1; any number; the mean of
the first column over that of the second; what `statistic` makes of the columns' means; the area under the ROC
curve of the first column as a score of the second."""
Statistic = Callable[[ndarray], ndarray]


@dataclass(frozen=True, eq=False)
class Column:
    """One figure of one measure, problem by problem. NaN: not known of this problem."""

    measure: str
    figure: str
    traces: str
    """Whose traces it is of."""
    kind: Kind
    by_role: Mapping[Role, ndarray]
    """[problem] or [problem, column], of each checkpoint."""
    statistic: Statistic = only
    paired: bool = True
    """Whether the two checkpoints' figures may be held against each other."""


def measured(column: Column, clusters: Clusters, seed: int) -> dict[str, Any] | None:
    """The figure as plain values: `base`, `tuned` and `change`, each an estimate or None.

    None where neither checkpoint has it. A change rests on the problems of which both have the figure.
    """
    rows = {role: _rows(values) for role, values in column.by_role.items()}
    found: dict[str, Any] = {
        role: _estimate(column, rows[role], clusters, seed) if role in rows else None for role in ROLES
    }
    if not any(found.values()):
        return None
    change = None
    if column.paired and all(found.values()):
        change = _change(column, rows["base"], rows["tuned"], clusters, seed)
    estimates = {name: None if e is None else asdict(e) for name, e in {**found, "change": change}.items()}
    return {"measure": column.measure, "figure": column.figure, "traces": column.traces, **estimates}


def _rows(values: ndarray) -> Float[ndarray, "problem column"]:
    return np.asarray(values, float).reshape(len(values), -1)


def _known(*rows: ndarray) -> ndarray:
    return np.flatnonzero(~np.any([np.isnan(each).any(1) for each in rows], axis=0))


def _estimate(column: Column, rows: ndarray, clusters: Clusters, seed: int) -> Estimate | None:
    known = _known(rows)
    if len(known) < LEAST:
        return None
    data, units = rows[known], among(clusters, known)
    match column.kind:
        case "share":
            return proportion(data[:, 0] > 0.5, LEVEL, units)
        case "difference":
            return paired_difference(np.zeros(len(data)), data[:, 0], LEVEL, units)
        case "bounded":
            found = paired_difference(np.zeros(len(data)), data[:, 0], LEVEL, units)
            return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))
        case "ratio":
            ratio = ratio_intervals(data[:, 0], data[:, 1], np.ones((1, len(data))), LEVEL, units)
            return _finite(ratio.estimate(len(data), LEVEL))
        case "roc":
            return _finite(_roc(data, units, seed))
        case _:
            return _finite(bootstrap(column.statistic, data, seed=seed, level=LEVEL, clusters=units))


def _change(column: Column, base: ndarray, tuned: ndarray, clusters: Clusters, seed: int) -> Estimate | None:
    known = _known(base, tuned)
    if len(known) < LEAST:
        return None
    units = among(clusters, known)
    if column.kind in ("share", "bounded"):
        return paired_difference(base[known, 0], tuned[known, 0], LEVEL, units)
    if column.kind == "difference":  # of two such differences the half lies in [-1, 1]
        half = paired_difference(base[known, 0] / 2, tuned[known, 0] / 2, LEVEL, units)
        return replace(half, value=2 * half.value, low=2 * half.low, high=2 * half.high)
    if column.kind == "roc":
        return _roc_change(base[known], tuned[known], units, seed)
    n = base.shape[1]

    def statistic(means: ndarray) -> ndarray:
        own = _ratio if column.kind == "ratio" else column.statistic
        return np.asarray(own(means[..., n:]) - own(means[..., :n]))

    both = np.concatenate([base[known], tuned[known]], 1)
    return _finite(bootstrap(statistic, both, seed=seed, level=LEVEL, clusters=units))


def _ratio(means: ndarray) -> ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(means[..., 0] / means[..., 1])


def _finite(found: Estimate) -> Estimate | None:
    """A figure that is a number, or None: a ratio whose denominator may be nothing is refused."""
    return found if np.isfinite(found.value) else None


def _area(rows: ndarray) -> float:
    area = area_under_roc(rows[:, 0], rows[:, 1] > 0.5)
    return float("nan") if area is None else area


def _areas(rows: ndarray, weights: ndarray) -> ndarray:
    """The area under the ROC curve in each resample; NaN in one without both kinds."""
    wrong = rows[:, 1] > 0.5
    p, q = rows[wrong, 0], rows[~wrong, 0]
    above = (p[:, None] > q).astype(float) + 0.5 * (p[:, None] == q)
    a, b = weights[:, wrong], weights[:, ~wrong]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(((a @ above) * b).sum(1) / (a.sum(1) * b.sum(1)))


def _roc(rows: ndarray, clusters: Clusters, seed: int) -> Estimate:
    n, value = len(rows), _area(rows)
    return _interval(value, _areas(rows, resample_weights(n, seed, clusters=clusters)), n)


def _roc_change(base: ndarray, tuned: ndarray, clusters: Clusters, seed: int) -> Estimate | None:
    n = len(base)
    weights = resample_weights(n, seed, clusters=clusters)
    draws = _areas(tuned, weights) - _areas(base, weights)
    return _finite(_interval(_area(tuned) - _area(base), draws, n))


def _interval(value: float, draws: ndarray, n: int) -> Estimate:
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return Estimate(value, float("-inf"), float("inf"), n, LEVEL)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value), n, LEVEL)
