"""A line of evidence as measured, before anything is concluded from it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from undertext.core.statistics import Estimate, bootstrap, proportion, share, sign_flip_p
from undertext.core.terms import Access, LineName, Says
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.result import EvidenceLine
from undertext.jobs.compare.verdict import says


@dataclass(frozen=True)
class RawLine:
    """One figure a problem for the weaker checkpoint, for the stronger, and for the line's null.

    The line's share is `(mean(weaker) - mean(null)) / (mean(stronger) - mean(null))`.
    """

    name: LineName
    problems: Int[ndarray, " n"]
    """Which problems of the split the figures are of."""
    weaker: Float[ndarray, " n"]
    stronger: Float[ndarray, " n"]
    null: Float[ndarray, " n"]
    oracle: Access
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
        over = weights @ (self.stronger - self.null)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(over > 0, (weights @ (self.weaker - self.null)) / over, np.nan)

    def line(self, p: float, rule: Rule, *, seed: int) -> EvidenceLine:
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
        return EvidenceLine(self.name, said, weaker, null, p, self.oracle, f"{self.note}; {why}")

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
