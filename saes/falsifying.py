"""Token injection and paraphrase: does a feature detect words, or depend on one wording?"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

from undertext.activations.errors import UserError

Test = Literal["welch", "mann_whitney"]


def inject(
    texts: Sequence[Sequence[int]],
    words: Sequence[Sequence[int]],
    *,
    seed: int,
    count: int = 3,
    keep: int = 1,
) -> list[list[int]]:
    """Insert `count` of the words into each text, all as token ids, and change nothing else.

    Words and their positions are drawn at random; the first `keep` tokens (a beginning-of-text token, for
    example) stay first. UserError when there are no words or an empty one.
    """
    if not words or not all(map(len, words)):
        raise UserError("expected words of one token or more to inject")
    draw = random.Random(seed)
    out = []
    for text in texts:
        start = min(keep, len(text))
        places = sorted(draw.randint(start, len(text)) for _ in range(count))
        new: list[int] = []
        done = 0
        for place in places:
            new += [*text[done:place], *draw.choice(words)]
            done = place
        out.append([*new, *text[done:]])
    return out


class ShiftCuts(NamedTuple):
    """When a feature fires much more in the second texts than in the first."""

    d: float
    """Smallest Cohen's d."""
    p: float
    """Upper bound of p."""
    test: Test
    """The test that p is of."""


@dataclass(frozen=True, eq=False)
class Shift:
    """How every feature's strength differs between two sets of texts, a number for each text."""

    mean: Float[Tensor, "set d_sae"]
    """Of the first texts, and of the second."""
    d: Float[Tensor, " d_sae"]
    """Cohen's d: the second mean less the first, over the pooled standard deviation. Infinite where neither
    set has any spread and the means differ, 0 where they do not."""
    welch: Float[Tensor, " d_sae"]
    """p of Welch's t-test, two-sided."""
    mann_whitney: Float[Tensor, " d_sae"]
    """p of the Mann-Whitney test, two-sided, by its normal approximation with ties and continuity."""

    def rises(self, cuts: ShiftCuts) -> Bool[Tensor, " d_sae"]:
        """Which features fire much more in the second texts, by the p values as they stand here."""
        return (self.d >= cuts.d) & (self.p(cuts.test) < cuts.p)

    def p(self, test: Test) -> Float[Tensor, " d_sae"]:
        """The p values of one test."""
        return self.welch if test == "welch" else self.mann_whitney


def shift(first: Float[Tensor, "text d_sae"], second: Float[Tensor, "other d_sae"]) -> Shift:
    """Compare strengths of features in two sets of texts, from `TextFirings.strongest`.

    UserError when a set has fewer than two texts or the two differ in features.
    """
    if min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        raise UserError(
            "expected two texts or more in each set and the same features, "
            f"got {list(first.shape)} and {list(second.shape)}"
        )
    one, two = (each.double().numpy() for each in (first, second))
    sizes = np.array([len(one), len(two)])
    means = np.stack([one.mean(axis=0), two.mean(axis=0)])
    variances = np.stack([one.var(axis=0, ddof=1), two.var(axis=0, ddof=1)])
    difference = means[1] - means[0]
    pooled = np.sqrt(((sizes - 1) @ variances) / (sizes.sum() - 2))
    flat = pooled <= 1e-9 * np.abs(means).max(axis=0)  # rounding is no spread
    differs = np.abs(difference) > 1e-9 * np.abs(means).max(axis=0)
    sure = np.where(differs, np.copysign(np.inf, difference), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(variances.T @ (1 / sizes))
        share = variances / sizes[:, None]
        freedom = share.sum(axis=0) ** 2 / (share**2 / (sizes - 1)[:, None]).sum(axis=0)
        d = np.where(flat, sure, difference / pooled)
        p = np.where(flat, np.where(differs, 0.0, 1.0), 2 * stats.t.sf(np.abs(difference / error), freedom))
    rank = stats.mannwhitneyu(two, one, axis=0, method="asymptotic").pvalue
    # All equal: no ranks to speak of.
    rank = np.where(np.isnan(rank), 1.0, rank)
    return Shift(*(torch.from_numpy(each) for each in (means, d, p, rank)))


@dataclass(frozen=True, eq=False)
class Falsification:
    """Every feature under token injection and paraphrase."""

    injection: Shift
    """From texts without reasoning to the same with words of reasoning put into them."""
    reasoning: Shift
    """From texts without reasoning to texts with it."""
    paraphrase: Shift | None
    """From texts with reasoning in other words to the texts as they were."""

    @property
    def transfer(self) -> Float[Tensor, " d_sae"]:
        """The rise by injected words over the rise by reasoning; NaN where reasoning makes no difference."""
        (plain, injected), reasoned = self.injection.mean, self.reasoning.mean[1]
        rise = reasoned - plain
        return torch.where(rise == 0, torch.nan, (injected - plain) / rise)

    def word_detectors(self, cuts: ShiftCuts) -> Bool[Tensor, " d_sae"]:
        """Which features the words alone make fire."""
        return self.injection.rises(cuts)

    def wording_bound(self, cuts: ShiftCuts) -> Bool[Tensor, " d_sae"]:
        """Which features lose much of their strength by paraphrase; none where there was none."""
        return (
            torch.zeros_like(self.injection.d, dtype=torch.bool)
            if self.paraphrase is None
            else (self.paraphrase.rises(cuts))
        )

    def fails(self, cuts: ShiftCuts) -> Bool[Tensor, " d_sae"]:
        """Which features fail one or the other."""
        return self.word_detectors(cuts) | self.wording_bound(cuts)


def falsify(
    plain: Float[Tensor, "plain d_sae"],
    injected: Float[Tensor, "plain d_sae"],
    reasoning: Float[Tensor, "reasoning d_sae"],
    paraphrase: tuple[Float[Tensor, "other d_sae"], Float[Tensor, "own d_sae"]] | None = None,
) -> Falsification:
    """Strengths in texts without reasoning, in the same with words injected, in texts with reasoning, and in
    some of these in other words and in their own."""
    return Falsification(
        shift(plain, injected),
        shift(plain, reasoning),
        None if paraphrase is None else shift(*paraphrase),
    )
