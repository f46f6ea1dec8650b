"""Intervals and tests over problems. Everything is paired: one number a problem and a condition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

RESAMPLES = 2000
"""Bootstrap resamples drawn for an interval."""

ROUNDING = 1e-12
"""Figures of a problem are of size one: means of them that differ by less are equal."""


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


class Intervals(NamedTuple):
    """A figure in each resample of the problems, with its interval there."""

    value: Float[ndarray, " resample"]
    low: Float[ndarray, " resample"]
    high: Float[ndarray, " resample"]

    def estimate(self, n: int, level: float) -> Estimate:
        """The first of them."""
        return Estimate(float(self.value[0]), float(self.low[0]), float(self.high[0]), n, level)


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
    above, below = (np.where(np.abs(each) <= ROUNDING, 0.0, each) for each in (a - c, b - c))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / below)


def weights_of(draws: Int[ndarray, "resample n"]) -> Float[ndarray, "resample n"]:
    """How often each of the n problems is in each resample."""
    count, n = draws.shape
    places = draws + n * np.arange(count)[:, None]
    return np.bincount(places.ravel(), minlength=count * n).reshape(count, n).astype(float)


def mean_intervals(
    d: Float[ndarray, " n"], weights: Float[ndarray, "resample n"], level: float = 0.95
) -> Intervals:
    """Mean of `d`, which lies in [-1, 1], in each resample of the problems, with its normal interval.

    Where every difference is the same the interval would be a point; one imagined problem at +1 and one at -1
    keep it honest (Agresti and Min 2005, the same device for paired shares).
    """
    sums = _Sums(d, d, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        value, half = sums.x / sums.n, _quantile(0.5 + level / 2) * np.sqrt(sums.var_x)
    return Intervals(value, np.maximum(value - half, -1.0), np.minimum(value + half, 1.0))


def ratio_intervals(
    x: Float[ndarray, " n"],
    y: Float[ndarray, " n"],
    weights: Float[ndarray, "resample n"],
    level: float = 0.95,
) -> Intervals:
    """`mean(x) / mean(y)` in each resample of the problems, with Fieller's interval (Fieller 1954).

    The interval holds every r at which the mean of `x - r y` may be zero, by the normal interval with
    imagined problems of `mean_intervals`, for x and for y independently. Where the mean of `y` is not surely
    above zero the ratio is refused: NaN, from -inf to inf.
    """
    sums, z2 = _Sums(x, y, weights), _quantile(0.5 + level / 2) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        x_mean, y_mean = sums.x / sums.n, sums.y / sums.n
        # (x_mean - r y_mean)^2 <= z^2 var(x - r y), as a r^2 - 2 b r + c <= 0.
        a = y_mean**2 - z2 * sums.var_y
        b = x_mean * y_mean - z2 * sums.cov
        c = x_mean**2 - z2 * sums.var_x
        sure = (a > 0) & (y_mean > 0)
        root = np.sqrt(np.maximum(b * b - a * c, 0.0))
        return Intervals(
            np.where(sure, x_mean / y_mean, np.nan),
            np.where(sure, (b - root) / a, -np.inf),
            np.where(sure, (b + root) / a, np.inf),
        )


def positive_p(d: Float[ndarray, " n"], weights: Float[ndarray, "resample n"]) -> Float[ndarray, " resample"]:
    """One-sided p of mean(d) > 0 in each resample: Fisher's randomisation test of signs in its normal form.

    The reference is the spread of the sum under random signs, with the two imagined problems of
    `mean_intervals`, which keep the test from being too sure of few problems.
    """
    z = (weights @ d) / np.sqrt(weights @ (d * d) + 2)
    return np.array([erfc(each / sqrt(2)) / 2 for each in z])  # the normal tail, without cancellation


class _Sums:
    """Means of two paired figures in each resample: their sums, and the (co)variances of the means.

    One imagined problem at +1 and one at -1 count in the variance of either, and in no mean.
    """

    def __init__(self, x: ndarray, y: ndarray, weights: ndarray) -> None:
        self.n = weights.sum(-1)
        self.x, self.y, xx, yy, xy = (weights @ column for column in (x, y, x * x, y * y, x * y))
        self.var_x = self._of_means(xx + 2, self.x, self.x)
        self.var_y = self._of_means(yy + 2, self.y, self.y)
        self.cov = self._of_means(xy, self.x, self.y)

    def _of_means(self, products: ndarray, x: ndarray, y: ndarray) -> ndarray:
        padded = self.n + 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((products / padded - x * y / padded**2) * padded / self.n**2)


def paired_difference(a: ndarray, b: ndarray, level: float = 0.95) -> Estimate:
    """Mean of b - a over problems, each in [-1, 1], with the normal interval on the paired differences."""
    d = np.asarray(b, float) - np.asarray(a, float)
    return mean_intervals(d, np.ones((1, len(d))), level).estimate(len(d), level)


def standard_error(d: ndarray) -> float:
    """Standard error of the mean of paired differences in [-1, 1], with one +1 and one -1 added."""
    d = np.asarray(d, float)
    return float(np.sqrt(_Sums(d, d, np.ones((1, len(d)))).var_x[0]))


def smallest_detectable(d: ndarray, *, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest mean difference that a two-sided test at this level sees with this power."""
    return (_quantile(0.5 + level / 2) + _quantile(power)) * standard_error(d)


def holm(p: Float[ndarray, "... test"]) -> Float[ndarray, "... test"]:
    """Holm's step-down adjustment (Holm 1979): p values corrected for being several, in the order given."""
    order = np.argsort(p, axis=-1, kind="stable")
    left = np.arange(p.shape[-1], 0, -1)
    steps = np.minimum(np.take_along_axis(p, order, -1) * left, 1.0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(steps, axis=-1), -1)
    return adjusted


def pass_at_k(right: ndarray, k: int) -> Float[ndarray, " problem"]:
    """Unbiased pass@k of each problem from its samples [problem, sample] (Chen et al. 2021, 2107.03374).

    `right` says whether a sample is right, or with which probability. One less the chance that k of a
    problem's samples, drawn without replacement, are all wrong: for n samples of which c are right,
    `1 - prod_{i=n-c+1..n} (1 - k / i)`.
    """
    wrong = 1.0 - right
    problems, n = wrong.shape
    if not 1 <= k <= n:
        raise ValueError(f"expected k from 1 to the {n} samples drawn, got {k}")
    # all_wrong[:, j]: mean over the sets of j of the samples so far of the product of their `wrong`.
    all_wrong = np.concatenate([np.ones((problems, 1)), np.zeros((problems, k))], -1)
    for i in range(n):
        # Of the sets of j among i + 1 samples, j / (i + 1) hold the last one.
        holds = np.minimum(np.arange(1, k + 1) / (i + 1), 1.0)
        all_wrong[:, 1:] = (1 - holds) * all_wrong[:, 1:] + holds * wrong[:, i : i + 1] * all_wrong[:, :-1]
    return np.asarray(1 - all_wrong[:, k])


def _quantile(probability: float) -> float:
    return NormalDist().inv_cdf(probability)
