"""A line of evidence as figures of problems: what a rule is given to judge."""

from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from undertext.core.statistics import (
    Clusters,
    Estimate,
    Intervals,
    bootstrap,
    mean_intervals,
    only,
    positive_p,
    proportion,
    ratio_intervals,
    share,
    units_in,
)
from undertext.core.terms import Access, LineName


class LineEstimates(NamedTuple):
    """What a line of evidence comes to in each resample of a split's problems."""

    share: Intervals
    p: Float[ndarray, " resample"]
    """One-sided p of the weaker's figure over the null, not corrected."""
    n: Float[ndarray, " resample"]
    """Number of problems that the line rests on, or of groups of them."""
    above: Float[ndarray, " resample"]
    """The stronger's figure less the null: what the share is a share of."""
    highest: Float[ndarray, " resample"]
    """Upper end of the share's interval where every unfinished output of the weaker counts as right."""
    over: Float[ndarray, " resample"]
    """The weaker's figure less the null."""
    exceeds: Bool[ndarray, " resample"]
    """Whether the weaker's figure is surely over the stronger's; of a key alone."""
    anew: Float[ndarray, " resample"]
    """As `highest`, over the null of outputs that guess anew; NaN where the line has none."""
    above_anew: Float[ndarray, " resample"]
    """As `above`, over that null; NaN where the line has none."""
    unfinished: float
    """Share of the weaker's outputs behind the line that are unfinished, on the problems themselves."""
    in_words: bool = False
    """Whether the figures are of new words, which a fluent model guesses from their sentence."""


@dataclass(frozen=True, eq=False)
class RawLine:
    """One figure a problem for the weaker checkpoint, for the stronger, and for the line's null.

    The line's share is `(mean(weaker) - mean(null)) / (mean(stronger) - mean(null))`.
    """

    name: LineName
    problems: Int[ndarray, " n"]
    """Indices of the problems of the split that the figures are of."""
    weaker: Float[ndarray, " n"]
    stronger: Float[ndarray, " n"]
    null: Float[ndarray, " n"]
    access: Access
    note: str
    unaided: Float[ndarray, " n"] | None = None
    """The weaker checkpoint's accuracy without intervention. Where given, the line shows the recovered gap,
    which counts from here, and otherwise the figures themselves."""
    unfinished: Bool[ndarray, " n"] | None = None
    """Whether the output behind a figure of `weaker` is unfinished, and counts as wrong; None: none is."""
    anew: Float[ndarray, " n"] | None = None
    """What outputs reach that know as much as the weaker's and guess anew, where `null` keeps its lucky ones:
    a key is shut that is surely not over either."""
    in_words: bool = False
    """Whether the figures are of new words, which a fluent model guesses from their sentence."""
    clusters: Clusters = None
    """The groups of these problems."""

    def __post_init__(self) -> None:
        columns = (self.weaker, self.stronger, self.null)
        if not len(self.problems) or any(len(column) != len(self.problems) for column in columns):
            raise ValueError(
                f"line {self.name}: expected figures for {len(self.problems)} problems, one or more"
            )

    def estimates(self, weights: Float[ndarray, "resample problem"], level: float) -> LineEstimates:
        """The line in each resample; `weights` says how often each problem of the split is in it."""
        own = weights[:, self.problems]
        over, above = self.weaker - self.null, self.stronger - self.null
        n = own.sum(-1)
        with np.errstate(invalid="ignore"):
            mean_over, ceiling = own @ over / n, own @ above / n
        ratio = ratio_intervals(over, above, own, level, self.clusters)
        p = positive_p(over, own, self.clusters)
        most, cut = self.weaker, 0.0
        if self.unfinished is not None:
            most, cut = np.where(self.unfinished, 1.0, self.weaker), float(self.unfinished.mean())
        highest = ratio.high
        if cut > 0:
            highest = ratio_intervals(most - self.null, above, own, level, self.clusters).high
        exceeds, anew, above_anew = np.zeros(len(own), bool), *np.full((2, len(own)), nan)
        if self.anew is not None:
            exceeds = mean_intervals(self.weaker - self.stronger, own, level, self.clusters).low > 0
            over_anew = self.stronger - self.anew
            anew = ratio_intervals(most - self.anew, over_anew, own, level, self.clusters).high
            with np.errstate(invalid="ignore"):
                above_anew = own @ over_anew / n
        units = units_in(own, self.clusters)
        return LineEstimates(
            ratio, p, units, ceiling, highest, mean_over, exceeds, anew, above_anew, cut, self.in_words
        )

    def share(self, level: float) -> Estimate:
        """The line's share of the problems themselves.

        NaN, and anything from -inf to inf, where the stronger checkpoint is not surely over the null: a share
        of what may be nothing is refused.
        """
        n = len(self.problems)
        over, above = self.weaker - self.null, self.stronger - self.null
        return ratio_intervals(over, above, np.ones((1, n)), level, self.clusters).estimate(n, level)

    def shown(self, figure: Float[ndarray, " n"], *, seed: int, level: float) -> Estimate:
        """A figure of the line, the weaker's or the null's, as the line shows it."""
        if self.unaided is not None:
            columns = np.stack([figure, self.stronger, self.unaided], -1)
            return bootstrap(share, columns, seed=seed, level=level, clusters=self.clusters)
        if set(np.unique(figure)) <= {0.0, 1.0}:
            return proportion(figure, level, self.clusters)
        return bootstrap(only, figure[:, None], seed=seed, level=level, clusters=self.clusters)
