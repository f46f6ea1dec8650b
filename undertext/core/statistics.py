"""Intervals and tests over problems. Everything is paired: one number a problem and a condition.

Problems that come from one template or passage depend on one another. `clusters`, a number a problem, says
which belong together: then the cluster is the unit of every interval, test and power figure (whole clusters
are resampled, variances are of clusters' sums, and t has clusters - 1 degrees of freedom; Cameron and Miller
2015, section II). Without clusters each problem is a unit of its own, and quantiles are the normal's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import erfc, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import betaincinv
from scipy.stats import t as student

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


Clusters = Int[ndarray, " n"] | None
"""The cluster of each problem, as numbers from 0; None where each problem stands alone."""


def among(clusters: Clusters, problems: ndarray) -> Int[ndarray, " m"] | None:
    """The clusters of some of the problems, named by a mask or by indices; numbered from 0 again."""
    return None if clusters is None else np.unique(clusters[problems], return_inverse=True)[1]


class Intervals(NamedTuple):
    """A figure in each resample of the problems, with its interval there."""

    value: Float[ndarray, " resample"]
    low: Float[ndarray, " resample"]
    high: Float[ndarray, " resample"]

    def estimate(self, n: int, level: float) -> Estimate:
        """The first of them."""
        return Estimate(float(self.value[0]), float(self.low[0]), float(self.high[0]), n, level)


def resample_weights(
    n: int, seed: int, count: int = RESAMPLES, clusters: Clusters = None
) -> Float[ndarray, "resample n"]:
    """How often each of n problems is in each resample: as many units as there are, with replacement."""
    units = n if clusters is None else int(clusters.max()) + 1
    drawn = _drawn(units, seed, count)
    return drawn if clusters is None else drawn[:, clusters]


@lru_cache(maxsize=4)  # every interval of a split draws the same
def _drawn(units: int, seed: int, count: int) -> Float[ndarray, "resample unit"]:
    draws = np.random.default_rng(seed).integers(0, units, size=(count, units))
    places = draws + units * np.arange(count)[:, None]
    drawn = np.bincount(places.ravel(), minlength=count * units).reshape(count, units).astype(float)
    drawn.flags.writeable = False
    return drawn


def proportion(right: Sequence[bool] | ndarray, level: float = 0.95, clusters: Clusters = None) -> Estimate:
    """A share of problems with Wilson's score interval (Wilson 1927), which holds at 0 and at 1.

    With clusters it is Wilson's interval of the effective number of problems: n over the design effect, which
    is taken to be 1 at least, and where all problems are alike the number of clusters (Korn and Graubard
    1998).
    """
    n = len(right)
    p = float(np.mean(right))
    m, z = float(n), float(_quantile(0.5 + level / 2))
    if clusters is not None:
        units = int(clusters.max()) + 1
        z = float(_quantile(0.5 + level / 2, units))
        off = np.bincount(clusters, np.asarray(right, float) - p)
        variance = float((off * off).sum()) / n**2 * units / max(1, units - 1)
        m = float(units) if p in (0.0, 1.0) else min(m, p * (1 - p) / variance) if variance else m
    centre = (p + z * z / (2 * m)) / (1 + z * z / m)
    half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m)) / (1 + z * z / m)
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n, level)


def exact_share(count: int, n: int, level: float = 0.95) -> Estimate:
    """A share of n independent units, with its exact interval (Clopper and Pearson 1934); NaN of none."""
    tail = (1 - level) / 2
    low = float(betaincinv(count, n - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return Estimate(count / n if n else float("nan"), low, high, n, level)


def bootstrap(
    statistic: Callable[[Float[ndarray, "... column"]], Float[ndarray, "..."]],
    data: Float[ndarray, "n column"],
    *,
    seed: int,
    level: float = 0.95,
    clusters: Clusters = None,
) -> Estimate:
    """Percentile bootstrap over problems, or over clusters (Efron 1979).

    `data` holds one row a problem and one column a condition, so that a resample keeps a problem's
    conditions together. `statistic` maps the columns' means [..., column] to [...]. Resamples in which it is
    not finite (a ratio whose denominator vanished) are left out of the interval.
    """
    weights = resample_weights(len(data), seed, clusters=clusters)
    draws = statistic(weights @ data / weights.sum(-1, keepdims=True))
    draws = draws[np.isfinite(draws)]
    value = float(statistic(data.mean(0)))
    if not len(draws):
        return Estimate(value, float("-inf"), float("inf"), len(data), level)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value), len(data), level)


def only(means: Float[ndarray, "... 1"]) -> Float[ndarray, "..."]:
    """The mean of the one column there is."""
    return means[..., 0]


def share(means: Float[ndarray, "... 3"]) -> Float[ndarray, "..."]:
    """`(a - c) / (b - c)` of the means a, b, c over problems; signed and unclamped.

    What is within `ROUNDING` of nothing is nothing, above the line and below it.
    """
    a, b, c = (means[..., i] for i in range(3))
    above, below = (np.where(np.abs(each) <= ROUNDING, 0.0, each) for each in (a - c, b - c))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / below)


def mean_intervals(
    d: Float[ndarray, " n"],
    weights: Float[ndarray, "resample n"],
    level: float = 0.95,
    clusters: Clusters = None,
) -> Intervals:
    """Mean of `d`, which lies in [-1, 1], in each resample of the problems, with its normal interval.

    Where every difference is the same the interval would be a point; one imagined problem at +1 and one at -1
    keep it honest (Agresti and Min 2005, the same device for paired shares).
    """
    sums = _Sums(d, d, weights, clusters)
    with np.errstate(divide="ignore", invalid="ignore"):
        value, half = sums.x / sums.n, sums.quantile(0.5 + level / 2) * np.sqrt(sums.var_x)
    return Intervals(value, np.maximum(value - half, -1.0), np.minimum(value + half, 1.0))


def ratio_intervals(
    x: Float[ndarray, " n"],
    y: Float[ndarray, " n"],
    weights: Float[ndarray, "resample n"],
    level: float = 0.95,
    clusters: Clusters = None,
) -> Intervals:
    """`mean(x) / mean(y)` in each resample of the problems, with Fieller's interval (Fieller 1954).

    The interval holds every r at which the mean of `x - r y` may be zero, by the normal interval with
    imagined problems of `mean_intervals`, for x and for y independently. Where the mean of `y` is not surely
    above zero the ratio is refused: NaN, from -inf to inf.
    """
    sums = _Sums(x, y, weights, clusters)
    z2 = sums.quantile(0.5 + level / 2) ** 2
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


def positive_p(
    d: Float[ndarray, " n"], weights: Float[ndarray, "resample n"], clusters: Clusters = None
) -> Float[ndarray, " resample"]:
    """One-sided p of mean(d) > 0 in each resample: Fisher's randomisation test of signs in its normal form.

    The reference is the spread of the sum under random signs, one a unit, with the two imagined problems of
    `mean_intervals`, which keep the test from being too sure of few problems.
    """
    units = _Units(weights, clusters)
    own = units.sums(d)
    z = (units.drawn @ own) / np.sqrt(units.drawn @ (own * own) + 2)
    if clusters is not None:
        return np.asarray(student.sf(z, units.freedom))
    return np.array([erfc(each / sqrt(2)) / 2 for each in z])  # the normal tail, without cancellation


class _Units:
    """What is drawn: problems, or clusters of them; and how often each is in each resample."""

    def __init__(self, weights: ndarray, clusters: Clusters) -> None:
        self.clusters, self.drawn = clusters, weights
        if clusters is not None:  # problems of a cluster are drawn together, so any of them tells how often
            _, first, self.clusters = np.unique(clusters, return_index=True, return_inverse=True)
            self.drawn = weights[:, first]

    def sums(self, column: ndarray) -> ndarray:
        """The sum of a column over each unit."""
        return column if self.clusters is None else np.bincount(self.clusters, column)

    @property
    def freedom(self) -> ndarray:
        """Degrees of freedom in each resample."""
        return np.maximum(self.drawn.sum(-1) - 1, 1)


def units_in(weights: Float[ndarray, "resample n"], clusters: Clusters) -> Float[ndarray, " resample"]:
    """Number of problems in each resample, or of clusters of them."""
    return np.asarray(_Units(weights, clusters).drawn.sum(-1))


class _Sums:
    """Means of two paired figures in each resample: their sums, and the (co)variances of the means.

    One imagined problem at +1 and one at -1, each a unit of its own, count in the variance of either, and in
    no mean.
    """

    def __init__(self, x: ndarray, y: ndarray, weights: ndarray, clusters: Clusters = None) -> None:
        self._units = _Units(weights, clusters)
        x, y, size = (self._units.sums(column) for column in (x, y, np.ones(len(x))))
        columns = np.stack([size, x, y, size * size, x * size, y * size, x * x, y * y, x * y], -1)
        n, self.x, self.y, nn, xn, yn, xx, yy, xy = (self._units.drawn @ columns).T
        self.n = n
        with np.errstate(divide="ignore", invalid="ignore"):
            x_mean, y_mean = self.x / (n + 2), self.y / (n + 2)

            def of_means(product: ndarray, a: ndarray, an: ndarray, b: ndarray, bn: ndarray) -> ndarray:
                """The sum over all units of (a - mean(a) size) (b - mean(b) size), over n^2."""
                return np.asarray((product - a * bn - b * an + a * b * (nn + 2)) / n**2)

            self.var_x = of_means(xx + 2, x_mean, xn, x_mean, xn)
            self.var_y = of_means(yy + 2, y_mean, yn, y_mean, yn)
            self.cov = of_means(xy, x_mean, xn, y_mean, yn)

    def quantile(self, probability: float) -> ndarray | float:
        """Of the means' errors, in each resample."""
        if self._units.clusters is None:
            return _quantile(probability)
        return np.asarray(student.ppf(probability, self._units.freedom))


def paired_difference(a: ndarray, b: ndarray, level: float = 0.95, clusters: Clusters = None) -> Estimate:
    """Mean of b - a over problems, each in [-1, 1], with the interval on the paired differences."""
    d = np.asarray(b, float) - np.asarray(a, float)
    return mean_intervals(d, np.ones((1, len(d))), level, clusters).estimate(len(d), level)


def unpaired_difference(a: Estimate, b: Estimate) -> Estimate:
    """b less a, of two sets of problems that have none in common, from the interval of each.

    The method of variance estimates recovery (Zou and Donner 2008), which with Wilson's intervals is
    Newcombe's (1998).
    """
    value = b.value - a.value
    below = sqrt((b.value - b.low) ** 2 + (a.high - a.value) ** 2)
    above = sqrt((b.high - b.value) ** 2 + (a.value - a.low) ** 2)
    return Estimate(value, value - below, value + above, min(a.n, b.n), b.level)


def standard_error(d: ndarray, clusters: Clusters = None) -> float:
    """Standard error of the mean of paired differences in [-1, 1], with one +1 and one -1 added."""
    d = np.asarray(d, float)
    return float(np.sqrt(_Sums(d, d, np.ones((1, len(d))), clusters).var_x[0]))


def smallest_detectable(
    d: ndarray, *, level: float = 0.95, power: float = 0.8, clusters: Clusters = None
) -> float:
    """The smallest mean difference that a two-sided test at this level sees with this power."""
    units = None if clusters is None else len(np.unique(clusters))
    quantiles = _quantile(0.5 + level / 2, units) + _quantile(power, units)
    return quantiles * standard_error(d, clusters)


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


@cache
def _quantile(probability: float, units: int | None = None) -> float:
    """Of the normal distribution; with a number of clusters, of t."""
    if units is not None:
        return float(student.ppf(probability, max(1, units - 1)))
    return NormalDist().inv_cdf(probability)
