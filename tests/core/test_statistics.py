"""Intervals and tests against scipy, enumeration and simulation."""

from itertools import combinations
from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest, norm

from undertext.core.statistics import (
    bootstrap,
    exact_share,
    holm,
    mean_intervals,
    only,
    paired_difference,
    pass_at_k,
    positive_p,
    proportion,
    ratio_intervals,
    resample_weights,
    smallest_detectable,
    unpaired_difference,
)


def mean(data: np.ndarray) -> np.ndarray:
    return data[..., 0].mean(-1)


@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_proportion_is_wilsons(n, data, level):
    k = data.draw(st.integers(0, n))
    wanted = binomtest(k, n).proportion_ci(level, method="wilson")
    found = proportion(np.arange(n) < k, level)
    assert (found.value, found.n, found.level) == (k / n, n, level)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_resamples_draw_every_problem_alike_and_hang_on_the_seed():
    weights = resample_weights(7, 3, 4000)
    assert weights.shape == (4000, 7)
    assert (weights.sum(1) == 7).all()
    np.testing.assert_allclose(weights.mean(0), np.ones(7), atol=0.07)
    assert np.array_equal(weights, resample_weights(7, 3, 4000))
    assert not np.array_equal(weights, resample_weights(7, 4, 4000))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bootstrap_of_a_mean_is_the_normal_interval(level):
    data = np.random.default_rng(0).gamma(4.0, size=(500, 1))
    half = norm.ppf(0.5 + level / 2) * data.std() / np.sqrt(len(data))
    found = bootstrap(only, data, seed=0, level=level)
    assert found.value == data.mean()
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.15 * half)
    assert (found.n, found.level) == (500, level)


def test_bootstrap_keeps_the_conditions_of_a_problem_together():
    before = np.random.default_rng(0).normal(size=300)
    found = bootstrap(lambda d: d[..., 1] - d[..., 0], np.stack([before, before + 0.25], 1), seed=0)
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))


def test_bootstrap_passes_over_resamples_without_a_value():
    def ratio(data: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(data[..., 0] / data[..., 1])

    # One resample in e draws the only denominator not at all; the others give ratios that are finite.
    found = bootstrap(ratio, np.array([[0.0, 1.0]] + [[1.0, 0.0]] * 30), seed=0)
    assert np.isfinite([found.low, found.high]).all()
    nowhere = bootstrap(ratio, np.array([[1.0, 0.0]] * 4), seed=0)
    assert (nowhere.low, nowhere.high) == (-np.inf, np.inf)


def test_paired_difference_by_hand():
    found = paired_difference(np.array([0, 0, 1, 1.0]), np.array([1, 1, 1, 0.0]))
    padded = np.array([1, 1, 0, -1, 1, -1.0])
    half = norm.ppf(0.975) * padded.std() * np.sqrt(6) / 4
    assert (found.value, found.low, found.high) == pytest.approx(
        (0.25, max(-1, 0.25 - half), min(1, 0.25 + half))
    )


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_paired_differences_that_are_all_alike_still_have_an_interval(value):
    found = paired_difference(np.zeros(20), np.full(20, value))
    assert found.value == value
    assert 0.1 < found.high - found.low < 0.5
    assert -1 <= found.low <= value <= found.high <= 1


@pytest.mark.parametrize("shares", [(0.02, 0.05), (0.1, 0.3), (0.3, 0.3)])
@pytest.mark.parametrize("n", [30, 150])
def test_paired_difference_covers_the_truth_as_often_as_it_says(n, shares):
    """Shares of problems that turn wrong and that turn right."""
    rng = np.random.default_rng(0)
    draws = rng.choice([-1.0, 1.0, 0.0], size=(3000, n), p=[*shares, 1 - sum(shares)])
    truth = shares[1] - shares[0]
    # The order of problems is of no matter: draws that hold as many of each come many times.
    kinds, times = np.unique(np.sort(draws, axis=1), axis=0, return_counts=True)
    intervals = [paired_difference(np.zeros(n), kind) for kind in kinds]
    covered = np.average([each.low <= truth <= each.high for each in intervals], weights=times)
    # Where few problems differ, the two imagined ones widen it: too sure is worse than too careful.
    assert 0.94 <= covered <= (0.98 if sum(shares) > 0.2 else 1)


@given(st.integers(1, 80), st.integers(1, 80), st.data())
def test_unpaired_difference_of_shares_is_newcombe_s(n, m, data):
    """Newcombe (1998), method 10, written out: square roots of sums of squares of z and the limits."""
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    first, second = proportion(np.arange(n) < a), proportion(np.arange(m) < b)
    found = unpaired_difference(first, second)
    p, q, z = a / n, b / m, NormalDist().inv_cdf(0.975)

    def limits(share: float, size: int) -> tuple[float, float]:
        root = z * sqrt(z * z + 4 * size * share * (1 - share))
        middle, scale = 2 * size * share + z * z, 2 * (size + z * z)
        return (middle - root) / scale, (middle + root) / scale

    (l1, u1), (l2, u2) = limits(p, n), limits(q, m)
    assert found.value == pytest.approx(q - p)
    assert found.low == pytest.approx(q - p - sqrt((q - l2) ** 2 + (u1 - p) ** 2), abs=1e-9)
    assert found.high == pytest.approx(q - p + sqrt((u2 - q) ** 2 + (p - l1) ** 2), abs=1e-9)
    assert found.n == min(n, m)


@pytest.mark.parametrize("discordant", [0.1, 0.4])
def test_smallest_detectable_is_seen_with_the_power_it_says(discordant):
    rng, n = np.random.default_rng(0), 300

    def draw(count: int, gain: float) -> np.ndarray:
        shares = [(discordant - gain) / 2, (discordant + gain) / 2, 1 - discordant]
        return rng.choice([-1.0, 1.0, 0.0], size=(count, n), p=shares)

    gain = float(np.mean([smallest_detectable(d) for d in draw(100, 0.0)]))
    found = [paired_difference(np.zeros(n), d) for d in draw(2000, gain)]
    assert 0.77 <= np.mean([each.low > 0 for each in found]) <= 0.87


def once(n: int) -> np.ndarray:
    """Each of n problems counts once."""
    return np.ones((1, n))


@given(st.integers(2, 30), st.integers(0, 9))
def test_intervals_of_a_resample_are_those_of_the_problems_drawn(n, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.choice([-1.0, 0.0, 0.5, 1.0], n), rng.choice([0.0, 1.0], n)
    weights = resample_weights(n, seed, 6)
    draws = [np.repeat(np.arange(n), each.astype(int)) for each in weights]
    together = [mean_intervals(x, weights), ratio_intervals(x, y, weights), [positive_p(x, weights)]]
    for k, draw in enumerate(draws):
        own = (x[draw], y[draw])
        alone = [
            mean_intervals(own[0], once(n)),
            ratio_intervals(*own, once(n)),
            [positive_p(own[0], once(n))],
        ]
        for found, wanted in zip(together, alone, strict=True):
            assert [each[k] for each in found] == pytest.approx([each[0] for each in wanted], nan_ok=True)


@given(st.integers(5, 60), st.floats(0.3, 1), st.floats(-0.5, 1.5), st.integers(0, 9))
def test_a_ratio_s_interval_ends_where_the_difference_may_no_longer_be_zero(n, share, ratio, seed):
    """Fieller: r is inside as long as zero is inside the interval of the mean of x - r y."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(float)
    x = np.clip(ratio * y + rng.normal(0, 0.2, n), -1, 1)
    ((value,), (low,), (high,)) = ratio_intervals(x, y, once(n))
    if not np.isfinite(value):
        assert mean_intervals(y, once(n)).low[0] <= 0
        assert (low, high) == (-np.inf, np.inf)
        return
    assert mean_intervals(y, once(n)).low[0] > 0
    assert value == pytest.approx(x.mean() / y.mean())
    assert low <= value <= high
    for end in (low, high):
        r = x - end * y
        # One imagined problem at +1 and one at -1, of x and of y independently.
        variance = (sum(r * r) + 2 + 2 * end**2) / (n + 2) - (sum(r) / (n + 2)) ** 2
        half = norm.ppf(0.975) * np.sqrt(variance * (n + 2)) / n
        assert abs(r.mean()) == pytest.approx(half, rel=1e-6, abs=1e-9)


def test_a_ratio_of_nothing_is_refused_without_a_warning():
    for x, y in ((np.zeros(5), np.zeros(5)), (np.ones(5), -np.ones(5)), (np.zeros(0), np.zeros(0))):
        ((value,), (low,), (high,)) = ratio_intervals(x, y, once(len(x)))
        assert np.isnan(value)
        assert (low, high) == (-np.inf, np.inf)


def test_positive_p_is_uniform_or_careful_where_there_is_nothing():
    rng = np.random.default_rng(0)
    draws = rng.choice([-1.0, 0.0, 1.0], (400, 60)) + 0.01 * rng.normal(size=(400, 60))
    p = np.array([positive_p(d, once(60))[0] for d in draws])
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=8, max_size=12))
def test_positive_p_is_near_that_of_all_signs(differences):
    d = np.array(differences)
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(d))).reshape(len(d), -1).T
    sums = (signs * d).sum(1)
    # Half of the ties, since the normal form has none.
    wanted = np.mean(sums > d.sum() + 1e-9) + np.mean(abs(sums - d.sum()) < 1e-9) / 2
    assert positive_p(d, once(len(d)))[0] == pytest.approx(wanted, abs=0.08)


def test_positive_p_is_never_zero():
    assert 0 < positive_p(np.ones(200), once(200))[0] < 0.001


@given(st.lists(st.floats(0, 1), max_size=7), st.floats(0, 1))
def test_holm_rejects_what_the_step_down_procedure_rejects(p, alpha):
    adjusted = holm(np.array(p, float)).tolist()
    remaining, rejected = list(range(len(p))), set()
    while remaining:
        smallest = min(remaining, key=lambda i: p[i])
        if min(1.0, p[smallest] * len(remaining)) > alpha:
            break
        rejected.add(smallest)
        remaining.remove(smallest)
    found = {i for i, value in enumerate(adjusted) if value <= alpha}
    # Equal p values stand or fall together when adjusted; the procedure takes them one by one.
    assert rejected <= found
    assert {p[i] for i in found} == {p[i] for i in rejected}


def test_holm_by_hand():
    rows = np.array([[0.01, 0.04, 0.03, 0.005], [0.7, 0.6, 0.5, 0.4]])
    np.testing.assert_allclose(holm(rows), [[0.03, 0.06, 0.06, 0.02], [1.0, 1.0, 1.0, 1.0]])
    assert holm(np.zeros(0)).tolist() == []


@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(n, data):
    k = data.draw(st.integers(1, n))
    right = np.array(
        data.draw(st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=4))
    )
    wanted = [np.mean([row[list(s)].any() for s in combinations(range(n), k)]) for row in right]
    np.testing.assert_allclose(pass_at_k(right, k), wanted, atol=1e-12)


@pytest.mark.parametrize("k", [0, 5])
def test_pass_at_k_needs_as_many_samples(k):
    with pytest.raises(ValueError, match=f"expected k from 1 to the 4 samples drawn, got {k}"):
        pass_at_k(np.zeros((2, 4), bool), k)


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from([0.9, 0.95, 0.99]))
def test_exact_interval_is_scipy_s(k, n, level):
    k = min(k, n)
    wanted = binomtest(k, n).proportion_ci(level, method="exact")
    found = exact_share(k, n, level)
    assert (found.value, found.low, found.high) == pytest.approx((k / n, wanted.low, wanted.high))
    nothing = exact_share(0, 0)
    assert (nothing.low, nothing.high, nothing.n) == (0, 1, 0)
