"""A line of evidence as measured, before anything is concluded from it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from undertext.comparison import Line, LineName, Oracle, Says
from undertext.config import Rule
from undertext.statistics import ROUNDING, Estimate, bootstrap, proportion, ratio, share, sign_flip_p
from undertext.verdict import says


@dataclass(frozen=True)
class Measured:
    """One figure a problem for the weaker checkpoint, for the stronger, and for the line's null.

    The line's share is `(mean(weaker) - mean(null)) / (mean(stronger) - mean(null))`.
    """

    name: LineName
    problems: Int[ndarray, " n"]
    """Which problems of the split the figures are of."""
    weaker: Float[ndarray, " n"]
    stronger: Float[ndarray, " n"]
    null: Float[ndarray, " n"]
    oracle: Oracle
    note: str
    kind: Literal["figure", "gap"] = "figure"
    """What the line shows as its estimate: the weaker's figure itself, or the recovered gap."""
    unaided: Float[ndarray, " n"] | None = None
    """For `gap`: the weaker checkpoint's accuracy without intervention, from which the gap counts."""

    def __post_init__(self) -> None:
        columns = (self.weaker, self.stronger, self.null)
        if not len(self.problems) or any(len(column) != len(self.problems) for column in columns):
            raise ValueError(
                f"line {self.name}: expected figures for {len(self.problems)} problems, one or more"
            )

    def share(self, *, seed: int, level: float) -> Estimate:
        """The line's share with its bootstrap interval.

        NaN, and anything from -inf to inf, where the stronger checkpoint is not surely over the null:
        a share of what may be nothing is refused.
        """
        data = np.stack([self.weaker, self.stronger, self.null], -1)
        if self._over_null(seed, level).low <= 0:
            return Estimate(float("nan"), float("-inf"), float("inf"), len(data), level)
        return bootstrap(share, data, seed=seed, level=level)

    def p(self, *, seed: int) -> float:
        """One-sided p of the weaker's figure over the null."""
        return sign_flip_p(self.weaker - self.null, seed=seed)

    def resampled_share(
        self, draws: Int[ndarray, "resample problem"], size: int
    ) -> Float[ndarray, " resample"]:
        """The share in each resample of the split's `size` problems; NaN where there is none to take."""
        weights = np.stack([np.bincount(draw, minlength=size) for draw in draws])[:, self.problems]
        # Means, not sums: how much of either is rounding does not hang on how many problems there are.
        weaker, over = (
            weights @ (each - self.null) / len(self.null) for each in (self.weaker, self.stronger)
        )
        return np.where(over > ROUNDING, ratio(weaker, over), np.nan)

    def line(self, p: float, rule: Rule, *, seed: int) -> Line:
        """The line as reported, given its corrected p."""
        share = self.share(seed=seed, level=rule.level)
        said: Says = "unclear"
        if not np.isfinite(share.value):
            over = self._over_null(seed, rule.level)
            shown = f"{over.value:+.2f} [{over.low:.2f}, {over.high:.2f}]"
            why = f"no share is taken: the stronger's less the null is {shown}"
        elif len(self.problems) < rule.min_problems:
            why = f"only {len(self.problems)} problems, too few to say anything"
        else:
            said = says(self.name, share, p, rule)
            why = (
                f"share of the stronger's over the null {share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"
            )
        weaker, null = (self._estimate(figure, seed, rule) for figure in (self.weaker, self.null))
        return Line(self.name, said, weaker, null, p, self.oracle, f"{self.note}; {why}")

    def _over_null(self, seed: int, level: float) -> Estimate:
        """What the stronger checkpoint shows over the null."""
        over = (self.stronger - self.null)[:, None]
        return bootstrap(lambda data: data[..., 0].mean(-1), over, seed=seed, level=level)

    def _estimate(self, figure: Float[ndarray, " n"], seed: int, rule: Rule) -> Estimate:
        if self.kind == "figure" or self.unaided is None:
            if set(np.unique(figure)) <= {0.0, 1.0}:
                return proportion(figure, rule.level)
            return bootstrap(lambda data: data[..., 0].mean(-1), figure[:, None], seed=seed, level=rule.level)
        data = np.stack([figure, self.stronger, self.unaided], -1)
        return bootstrap(share, data, seed=seed, level=rule.level)
