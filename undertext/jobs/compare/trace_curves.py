"""Confidence and information gain along traces: rows of the table `curves`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy import ndarray

from undertext.core.statistics import Clusters, Estimate, among, bootstrap, only, paired_difference
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.trace_parts import TraceReads
from undertext.measures.answers import Answers
from undertext.measures.trace.ends import PLACES, Curve

CURVES = pa.schema(
    [
        ("split", pa.string()), ("checkpoint", pa.string()), ("figure", pa.string()), ("share", pa.float64()),
        ("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("n", pa.int64()),
    ]
)  # fmt: skip
"""Columns of the table `curves`."""

GIVEN, GAIN = "confidence in the given answer", "information gain of the right answer"
"""Names of figures: a probability, and a log-probability less that before the first step, in nats."""
SHARES = np.linspace(0.0, 1.0, PLACES + 1)
"""Shares of a trace's steps at which figures are given; between two steps of a trace lies a straight line."""
LEAST = 2
"""Fewest traces of which a figure is given."""


def curve_rows(
    reads: TraceReads, split: str, answers: Mapping[Role, Answers], level: float, seed: int
) -> list[dict[str, Any]]:
    """Means over each checkpoint's own traces with a step, with their intervals."""
    rows: list[dict[str, Any]] = []
    for role in ROLES:
        ends, clusters = reads.traced[split, role].ends, answers[role].clusters
        stepped = [
            (i, each) for i, each, some in zip(ends.index, ends.curves, ends.stepped, strict=True) if some
        ]
        known = [(i, each) for i, each in stepped if each.right is not None]

        def sure(values: ndarray, units: Clusters) -> Estimate:
            mean = paired_difference(np.zeros(len(values)), values, level, units)
            return replace(mean, low=max(0.0, mean.low), high=min(1.0, mean.high))

        def gained(values: ndarray, units: Clusters) -> Estimate:
            return bootstrap(only, values[:, None], seed=seed, level=level, clusters=units)

        rows += _rows(split, role, GIVEN, stepped, lambda curve: curve.given, sure, clusters)
        rows += _rows(split, role, GAIN, known, _gain, gained, clusters)
    return rows


def _gain(curve: Curve) -> Float[ndarray, " place"]:
    assert curve.right is not None, "asked of traces along which the right answer was scored"
    return curve.right - curve.right[0]


def _rows(
    split: str,
    role: Role,
    figure: str,
    curves: Sequence[tuple[int, Curve]],
    values: Callable[[Curve], ndarray],
    estimate: Callable[[ndarray, Clusters], Estimate],
    clusters: Clusters,
) -> list[dict[str, Any]]:
    if len(curves) < LEAST:
        return []
    table = np.array([np.interp(SHARES, curve.shares, values(curve)) for _, curve in curves])
    units = among(clusters, np.array([i for i, _ in curves]))
    rows = []
    for share, column in zip(SHARES.tolist(), table.T, strict=True):
        found = estimate(column, units)
        rows.append(
            {
                "split": split,
                "checkpoint": role,
                "figure": figure,
                "share": share,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "n": found.n,
            }
        )
    return rows
