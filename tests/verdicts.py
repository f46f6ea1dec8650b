"""What the rule from evidence to verdict is given, made up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from undertext.core.statistics import Intervals
from undertext.core.terms import LineName, Role
from undertext.jobs.compare.change import Change
from undertext.jobs.compare.changed_weights import Withstood
from undertext.jobs.compare.config import verdict_rule
from undertext.jobs.compare.raw_line import LineEstimates, RawLine
from undertext.jobs.compare.result import SplitResult
from undertext.jobs.compare.verdict import (
    split_result,
)
from undertext.measures.answers import Answers
from undertext.tasks import Grader

RULE = verdict_rule()


def intervals(*rows: tuple[float, float, float]) -> Intervals:
    """From (low, value, high) of each resample."""
    low, value, high = (np.array(column, float) for column in zip(*rows, strict=True))
    return Intervals(value, low, high)


def estimates(share: Intervals, p: float | np.ndarray, n: float = 100.0, above: float = 0.8) -> LineEstimates:
    count = len(share.value)
    same, number, size = np.broadcast_to(p, count), np.full(count, float(n)), np.full(count, above)
    none, over = np.full(count, np.nan), share.value * above
    return LineEstimates(share, same, number, size, share.high, over, np.zeros(count, bool), none, none, 0.0)


BOTH: tuple[LineName, ...] = ("behaviour", "recovered")


def solving(count: int, base: float = 0.5, tuned: float = 0.5) -> dict[Role, Intervals]:
    """Accuracy over chance that is sure to 0.1, in so many resamples."""
    return {
        "base": intervals(*[(base - 0.1, base, base + 0.1)] * count),
        "tuned": intervals(*[(tuned - 0.1, tuned, tuned + 0.1)] * count),
    }


def below(over: Mapping[Role, Intervals]) -> dict[Role, np.ndarray]:
    """Which resamples of each checkpoint are below chance, by the same intervals."""
    return {role: each.high < 0 for role, each in over.items()}


def changed_by(*rows: tuple[float, float, float]) -> Change:
    """A difference in accuracy where no output is unfinished, from (low, value, high) of each resample."""
    found = intervals(*rows)
    return Change(found, found, found)


DIFFERENCES = changed_by((0.3, 0.4, 0.5), (-0.5, -0.4, -0.3), (-0.05, 0.0, 0.05))
"""The tuned is better, the base is, and neither."""


N = 200
GRADER = Grader(kind="regex", pattern=r"answer (\d+)")


def answers(
    right: Sequence[bool] | np.ndarray,
    strict: Sequence[bool] | np.ndarray | None = None,
    unfinished: Sequence[bool] | np.ndarray | None = None,
) -> Answers:
    lenient = np.asarray(right, bool)
    return Answers(
        [""] * len(lenient),
        lenient if strict is None else np.asarray(strict, bool),
        lenient,
        np.ones(len(lenient)),
        np.zeros(len(lenient), bool) if unfinished is None else np.asarray(unfinished, bool),
    )


GOOD, BAD = answers(np.arange(N) < 0.9 * N), answers(np.arange(N) >= 0.8 * N)
"""Right on the first nine tenths; on the last fifth."""


def line(name: Any, weaker: Sequence[float] | np.ndarray, problems: Sequence[int] | np.ndarray) -> RawLine:
    n = len(problems)
    return RawLine(
        name, np.asarray(problems), np.asarray(weaker, float), np.ones(n), np.zeros(n), "none", "made up"
    )


def judged(
    both: dict[Role, Answers],
    weaker: Any,
    lines: Sequence[RawLine],
    flags: Sequence[str] = (),
    *,
    chance: float = 0.0,
    alike: dict[Role, str] | None = None,
    seed: int = 0,
    grader: Grader = GRADER,
    withstood: Withstood | None = None,
) -> SplitResult:
    """`split_result` where outputs are right for other problems with this `chance`."""
    each = {role: np.full(len(answers.lenient), chance) for role, answers in both.items()}
    return split_result(
        both, each, alike or {}, weaker, lines, flags, RULE, seed, grader=grader, withstood=withstood
    )


KNOWN = {"base": answers(np.ones(N)), "tuned": answers(np.zeros(N))}
"""The base solves all, and the tune nothing."""
GONE = [
    line(name, np.zeros(N), np.arange(N))
    for name in ("behaviour", "prompted", "prefilled", "continued", "recovered", "undone")
]
"""Lines on which such a tune shows nothing."""


def kept(share: float, chance: float = 0.0) -> Withstood:
    """Of a base that is always right, this share over chance."""
    right = np.arange(N) < (chance + share * (1 - chance)) * N
    return Withstood(right.astype(float), np.ones(N), np.full(N, chance))
