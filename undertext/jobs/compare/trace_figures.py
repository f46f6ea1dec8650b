"""What figures of traces are made of: estimates, the flags that they raise, and rows of the table `trace`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy import ndarray

from undertext.core.statistics import Clusters, Estimate, among, ratio_intervals
from undertext.core.terms import Role
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.form import FlagName

TRACE = pa.schema(
    [
        ("split", pa.string()), ("checkpoint", pa.string()), ("figure", pa.string()), ("value", pa.float64()),
        ("low", pa.float64()), ("high", pa.float64()), ("n", pa.int64()), ("threshold", pa.string()),
        ("flag", pa.string()),
    ]
)  # fmt: skip
"""Columns of the table `trace`, also where no flag is raised."""

FigureName = Literal[
    "rationalisation index",
    "confidence before the first step",
    "confidence after the last step",
    "rationalisation index over chance",
    "filler: keeps its answer",
    "another: keeps its answer",
    "another: follows the trace",
    "filler: right answers that stay right, over chance",
    "another: right answers that stay right, over chance",
    "confidence in the given answer",
    "confidence less accuracy",
    "completes problems from their first 60%",
    "completes problems from their first 60%, over chance",
    "completes problems from their first 60%, over chance, less of fresh ones",
    "right answers to problems with other numbers",
    "right answers, less those to problems with other numbers",
    "doubt words per 100",
    "doubt words lost",
    "unfinished outputs",
    "change of form alone",
]
"""Every figure of the table `trace`; trace_words.py says what each is."""
BEFORE: FigureName = "confidence before the first step"
AFTER: FigureName = "confidence after the last step"
"""The probability of the answer that is given, over traces with a step."""


@dataclass(frozen=True)
class TraceFigure:
    """One figure of one checkpoint on a split; what compares the two is the tuned one's."""

    checkpoint: Role
    figure: FigureName
    estimate: Estimate
    threshold: str | None = None
    """The threshold that a flag asks of it; None of a figure that stands beside others."""
    flag: FlagName | None = None
    """The flag that it raises."""


class Flagged(NamedTuple):
    """The figures of a split, and what they raise or leave unmeasured, in words."""

    figures: list[TraceFigure]
    flags: list[str]


def trace_rows(split: str, figures: Sequence[TraceFigure]) -> list[dict[str, Any]]:
    """Rows of the table `trace`."""
    return [
        {
            "split": split,
            "checkpoint": each.checkpoint,
            "figure": each.figure,
            "value": each.estimate.value,
            "low": each.estimate.low,
            "high": each.estimate.high,
            "n": each.estimate.n,
            "threshold": each.threshold,
            "flag": each.flag,
        }
        for each in figures
    ]


def figure_of(
    role: Role, figure: FigureName, found: Estimate, threshold: str, flag: FlagName, raised: bool
) -> TraceFigure:
    """A figure with a threshold, and with its flag where that is raised."""
    return TraceFigure(role, figure, found, threshold, flag if raised else None)


def ratio(
    x: Float[ndarray, " row"],
    y: Float[ndarray, " row"],
    index: Sequence[int],
    rows: ndarray,
    units: Clusters,
    rule: Rule,
) -> Estimate | None:
    """`mean(x) / mean(y)` over some of the rows; None where y is not surely above nothing."""
    if not len(rows):
        return None
    own = among(units, np.array(index)[rows])
    found = ratio_intervals(x[rows], y[rows], np.ones((1, len(rows))), rule.level, own)
    estimate = found.estimate(len(rows), rule.level)
    return estimate if np.isfinite(estimate.value) else None


def enough_problems(index: Sequence[int] | ndarray, units: Clusters, rule: Rule) -> bool:
    """Whether these are enough problems, or of enough groups."""
    rows = np.array(index, int)
    return len(rows if units is None else np.unique(units[rows])) >= rule.min_problems


def limit(name: str, rule: Rule) -> str:
    """A threshold in a sentence."""
    return f"`{name}` {getattr(rule, name):g}"
