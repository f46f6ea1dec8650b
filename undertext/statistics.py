"""Intervals and tests over problems. Everything is paired: one number a problem and a condition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

RESAMPLES = 2000
"""Bootstrap resamples and sign flips drawn for an interval or a p value."""

ROUNDING = 1e-12
"""Figures a problem are of size one: means of them that differ by less are equal."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval: `E` in verdict.json."""

    value: float
    low: float
    high: float
    n: int
    """Problems it rests on."""
    level: float = 0.95
    """Coverage of [low, high]."""


def resamples(n: int, seed: int, count: int = RESAMPLES) -> Int[ndarray, "resample n"]:
    """Rows of indices, each a draw of `n` problems with replacement."""
    return np.random.default_rng(seed).integers(0, n, size=(count, n))


def proportion(right: Sequence[bool] | ndarray, level: float = 0.95) -> Estimate:
    """A share of problems with Wilson's score interval (Wilson 1927), which holds at 0 and at 1."""
    n = len(right)
    p = float(np.mean(right))
    z = _quantile(0.5 + level / 2)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n, level)


def bootstrap(
    statistic: Callable[[Float[ndarray, "... n column"]], Float[ndarray, "..."]],
    data: Float[ndarray, "n column"],
    *,
    seed: int,
    level: float = 0.95,
) -> Estimate:
    """Percentile bootstrap over problems (Efron 1979).

    `data` holds one row a problem and one column a condition, so that a resample keeps a problem's
    conditions together. `statistic` maps [..., n, column] to [...]. Resamples in which it is not
    finite (a ratio whose denominator vanished) are left out of the interval.
    """
    draws = statistic(data[resamples(len(data), seed)])
    draws = draws[np.isfinite(draws)]
    value = float(statistic(data))
    if not len(draws):
        return Estimate(value, float("-inf"), float("inf"), len(data), level)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value), len(data), level)


def share(data: Float[ndarray, "... n 3"]) -> Float[ndarray, "..."]:
    """`(mean(a) - mean(c)) / (mean(b) - mean(c))` over problems, columns a, b, c; signed and unclamped.

    What is within `ROUNDING` of nothing is nothing, above the line and below it.
    """
    a, b, c = (data[..., i].mean(-1) for i in range(3))
    return ratio(np.asarray(a - c), np.asarray(b - c))


def ratio(above: Float[ndarray, "..."], below: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """`above / below`, NaN or infinite where nothing is below; to twelve digits, which is all that sums in
    whatever order have, so that a share that is one half is not over one half."""
    above, below = (np.where(np.abs(each) <= ROUNDING, 0.0, each) for each in (above, below))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.round(above / below, 12))


def paired_difference(a: ndarray, b: ndarray, level: float = 0.95) -> Estimate:
    """Mean of b - a over problems, each in [-1, 1], with the normal interval on the paired differences.

    Where every difference is the same the interval would be a point; one imagined discordant
    problem of each sign keeps it honest (Agresti and Min 2005, the same device for paired shares).
    """
    d = np.asarray(b, float) - np.asarray(a, float)
    half = _quantile(0.5 + level / 2) * standard_error(d)
    value = float(d.mean())
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), len(d), level)


def standard_error(d: ndarray) -> float:
    """Standard error of the mean of paired differences in [-1, 1], with one +1 and one -1 added."""
    padded = np.concatenate([d, [1.0, -1.0]])
    return float(padded.std() * sqrt(len(padded)) / len(d))


def smallest_detectable(d: ndarray, *, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest mean difference that a two-sided test at this level sees with this power."""
    return (_quantile(0.5 + level / 2) + _quantile(power)) * standard_error(d)


def sign_flip_p(d: ndarray, *, seed: int) -> float:
    """One-sided p of mean(d) > 0 under random signs, one sign a problem (Fisher's randomisation test)."""
    d = np.asarray(d, float)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(RESAMPLES, len(d)))
    return float((1 + np.sum((signs * d).mean(1) >= d.mean() - ROUNDING)) / (1 + RESAMPLES))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979): p values corrected for being several, in the order given."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = running
    return [float(v) for v in adjusted]


def pass_at_k(right: ndarray, k: int) -> ndarray:
    """Unbiased pass@k of each problem from its samples [problem, sample] (Chen et al. 2021, 2107.03374).

    `1 - prod_{i=n-c+1..n} (1 - k / i)` with n samples of which c are right.
    """
    n = right.shape[1]
    if not 1 <= k <= n:
        raise ValueError(f"expected k from 1 to the {n} samples drawn, got {k}")
    terms = np.arange(1, n + 1)
    wrong = n - right.sum(1)
    factors = np.where(terms[None] > wrong[:, None], np.clip(1 - k / terms[None], 0.0, 1.0), 1.0)
    return np.asarray(1 - factors.prod(1))


def _quantile(probability: float) -> float:
    return NormalDist().inv_cdf(probability)
