"""Problems in groups: against statsmodels' formula written out, against copies, and by simulated coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from undertext.core.statistics import (
    among,
    bootstrap,
    mean_intervals,
    only,
    paired_difference,
    positive_p,
    proportion,
    ratio_intervals,
    resample_weights,
    smallest_detectable,
    standard_error,
    units_in,
)


def grouped(units: int, size: int, seed: int, *, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Answers of problems that share much of their difficulty with their group; and the groups."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(units), size)
    own = spread * rng.normal(size=units)[clusters] + np.sqrt(1 - spread**2) * rng.normal(size=units * size)
    return own > 0, clusters


@given(st.integers(2, 30), st.integers(0, 99))
def test_problems_that_stand_alone_have_the_intervals_of_problems_without_groups(n, seed):
    """But for the quantile: of t with n - 1 degrees of freedom instead of the normal's."""
    rng = np.random.default_rng(seed)
    x, y = rng.choice([-1.0, 0.0, 1.0], n), rng.choice([0.5, 1.0], n)
    alone, weights = rng.permutation(n), np.ones((1, n))
    plain, own = mean_intervals(x, weights), mean_intervals(x, weights, clusters=alone)
    assert own.value == pytest.approx(plain.value)
    error, same = standard_error(x), standard_error(x, alone)
    assert same == pytest.approx(error)
    half = student.ppf(0.975, n - 1) * error
    assert own.low[0] == pytest.approx(max(-1, x.mean() - half))
    assert np.array_equal(resample_weights(n, seed, 9), resample_weights(n, seed, 9, np.arange(n)))
    ratio = ratio_intervals(x, y, weights, clusters=alone).value[0]
    assert np.isnan(ratio) or ratio == pytest.approx(x.mean() / y.mean())  # NaN: t is wider than the normal
    z = x.sum() / np.sqrt((x * x).sum() + 2)
    assert positive_p(x, weights)[0] == pytest.approx(norm.sf(z))
    assert positive_p(x, weights, alone)[0] == pytest.approx(student.sf(z, n - 1))


@given(st.integers(2, 20), st.integers(1, 6), st.integers(0, 99))
def test_copies_of_a_problem_say_no_more_than_the_problem(units, size, seed):
    """Groups of equal problems: every figure is that of one problem a group (imagined problems aside)."""
    rng = np.random.default_rng(seed)
    one, clusters = rng.choice([0.0, 1.0], units), np.repeat(np.arange(units), size)
    many = np.repeat(one, size)
    wanted = proportion(one, clusters=np.arange(units))
    found = proportion(many, clusters=clusters)
    assert found.value == pytest.approx(wanted.value)
    # Wilson's with n problems, and with the effective number, units - 1 (a variance estimate's own).
    assert found.high - found.low >= (wanted.high - wanted.low) * 0.98
    single = bootstrap(only, one[:, None], seed=seed, clusters=np.arange(units))
    copied = bootstrap(only, many[:, None], seed=seed, clusters=clusters)
    assert (copied.low, copied.high) == pytest.approx((single.low, single.high))
    assert units_in(np.ones((1, units * size)), clusters)[0] == units


def test_the_standard_error_is_the_cluster_robust_one_written_out():
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 40, 300)
    clusters = np.unique(clusters, return_inverse=True)[1]
    d = rng.choice([-1.0, 0.0, 1.0], 300) * 0.5 + 0.3 * rng.normal(size=40)[clusters].clip(-1, 1)
    mean = d.sum() / 302
    meat = sum((d[clusters == g] - mean).sum() ** 2 for g in range(clusters.max() + 1))
    wanted = np.sqrt(meat + 2 + 2 * mean**2) / 300
    assert standard_error(d, clusters) == pytest.approx(wanted)
    freedom = clusters.max()
    quantiles = student.ppf(0.975, freedom) + student.ppf(0.8, freedom)
    assert smallest_detectable(d, clusters=clusters) == pytest.approx(quantiles * wanted)


def test_a_resample_s_figures_are_those_of_the_clusters_drawn():
    right, clusters = grouped(12, 3, 0)
    d = right - 0.4
    weights = resample_weights(len(d), 5, 20, clusters)
    together = mean_intervals(d, weights, clusters=clusters)
    p = positive_p(d, weights, clusters)
    for k, drawn in enumerate(weights):
        own, units = [], []
        for g in range(12):
            for copy in range(int(drawn[clusters == g][0])):
                own += d[clusters == g].tolist()
                units += [(g, copy)] * 3
        numbers = {unit: i for i, unit in enumerate(dict.fromkeys(units))}
        each = np.array([numbers[unit] for unit in units])
        alone = mean_intervals(np.array(own), np.ones((1, len(own))), clusters=each)
        assert [column[k] for column in together] == pytest.approx([column[0] for column in alone])
        assert p[k] == pytest.approx(positive_p(np.array(own), np.ones((1, len(own))), each)[0])


@pytest.mark.parametrize("interval", ["proportion", "difference", "bootstrap"])
def test_intervals_cover_where_groups_share_their_difficulty(interval):
    """40 groups of 6: nominal 95% intervals cover 92 to 98% of 400 draws; without groups far less."""

    def covers(clusters: np.ndarray | None, right: np.ndarray, seed: int) -> bool:
        if interval == "proportion":
            found = proportion(right, clusters=clusters)
        elif interval == "difference":
            found = paired_difference(np.full(len(right), 0.5), right, clusters=clusters)
            return found.low <= 0 <= found.high
        else:
            found = bootstrap(only, right[:, None].astype(float), seed=seed, clusters=clusters)
        return found.low <= 0.5 <= found.high

    draws = 400 if interval != "bootstrap" else 150
    with_groups, without = [], []
    for seed in range(draws):
        right, clusters = grouped(40, 6, seed, spread=0.9)
        with_groups.append(covers(clusters, right, seed))
        without.append(covers(None, right, seed))
    assert 0.92 <= np.mean(with_groups) <= (0.98 if interval != "bootstrap" else 0.985)
    assert np.mean(without) < 0.8


def test_clusters_of_some_problems_are_numbered_from_zero():
    assert among(None, np.array([1])) is None
    found = among(np.array([4, 4, 0, 2]), np.array([True, False, False, True]))
    assert found is not None
    assert found.tolist() == [1, 0]
