"""Shares of cases, with intervals for which cases are independent and for which only their worlds are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from undertext.core.statistics import exact_share, proportion
from undertext.jobs.bench.case import Judged

CONFIDENT = 0.8
"""A wrong verdict of more confidence than this is confidently wrong."""
FEW = 6
"""Up to so many different numbers of problems, each is a group of its own."""


@dataclass(frozen=True)
class Rate:
    """A share of cases, with two 95% intervals."""

    count: int
    of: int
    value: float | None
    """count / of; None where there is no case."""
    low: float
    """Clopper and Pearson's interval, for which cases are independent."""
    high: float
    world_low: float
    """Interval for which only worlds are: Wilson's, of n over the design effect."""
    world_high: float
    worlds: int


@dataclass(frozen=True)
class Tally:
    """The main rates."""

    cases: int
    right: Rate
    """Of the verdicts given."""
    right_of_all: Rate
    """Of all cases, `undetermined` counted as not right: the recall, of cases of one truth."""
    confidently_wrong: Rate
    """Of the verdicts given: wrong, with a confidence over `CONFIDENT`."""
    undetermined: Rate
    """Of all cases."""


@dataclass(frozen=True)
class Effort:
    """Cases that took from `least` to `most`."""

    least: float
    most: float
    tally: Tally


def worlds(judged: Sequence[Judged]) -> Int[ndarray, " case"]:
    """The world of each case, as a number from 0."""
    return np.unique([each.case.world for each in judged], return_inverse=True)[1]


def rate(judged: Sequence[Judged], hit: Callable[[Judged], bool]) -> Rate:
    """The share of these cases that `hit` holds of."""
    if not judged:
        return Rate(0, 0, None, 0.0, 1.0, 0.0, 1.0, 0)
    hits, clusters = [hit(each) for each in judged], worlds(judged)
    exact = exact_share(sum(hits), len(hits))
    own = proportion(hits, clusters=clusters)
    return Rate(
        sum(hits), len(hits), exact.value, exact.low, exact.high, own.low, own.high, int(clusters.max()) + 1
    )


def tally(judged: Sequence[Judged]) -> Tally:
    """The main rates of these cases."""
    given = [each for each in judged if each.given]
    return Tally(
        len(judged),
        right=rate(given, lambda each: each.right),
        right_of_all=rate(judged, lambda each: each.right),
        confidently_wrong=rate(given, lambda each: not each.right and each.confidence > CONFIDENT),
        undetermined=rate(judged, lambda each: not each.given),
    )


def tallies(judged: Sequence[Judged], key: Callable[[Judged], str]) -> dict[str, Tally]:
    """The main rates of each group of cases, by name."""
    return {name: tally([e for e in judged if key(e) == name]) for name in sorted({key(e) for e in judged})}


def thirds(judged: Sequence[Judged], effort: Callable[[Judged], float]) -> tuple[Effort, ...]:
    """Groups of about a third of the cases; equal efforts are in one group."""
    if not judged:
        return ()
    efforts = np.array([effort(each) for each in judged], float)
    return _efforts(judged, efforts, np.searchsorted(np.quantile(efforts, [1 / 3, 2 / 3]), efforts))


def by_problems(judged: Sequence[Judged]) -> tuple[Effort, ...]:
    """Groups of equal numbers of problems, or thirds where there are more than `FEW` numbers."""
    efforts = np.array([each.problems for each in judged], float)
    numbers = np.unique(efforts)
    if len(numbers) > FEW:
        return thirds(judged, lambda each: each.problems)
    return _efforts(judged, efforts, np.searchsorted(numbers, efforts))


def _efforts(judged: Sequence[Judged], efforts: np.ndarray, group: np.ndarray) -> tuple[Effort, ...]:
    return tuple(
        Effort(
            float(efforts[group == number].min()),
            float(efforts[group == number].max()),
            tally([each for each, own in zip(judged, group, strict=True) if own == number]),
        )
        for number in np.unique(group)
    )
