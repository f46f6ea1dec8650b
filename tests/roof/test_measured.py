"""A line's share and what it comes to say, recomputed from the definition."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unchecked import signatures_unchecked
<<<<<<< HEAD
from undertext.core.statistics import resamples
from undertext.jobs.compare.config import verdict_rule
from undertext.jobs.compare.raw_line import RawLine
=======
from undertext.config import verdict_rule
from undertext.evidence.measured import Measured
from undertext.statistics import resamples, share
>>>>>>> main

RULE = verdict_rule()


def measured(
    weaker: np.ndarray, stronger: np.ndarray, null: np.ndarray, name: Any = "recovered", **more: Any
) -> RawLine:
    figures = {"weaker": weaker, "stronger": stronger, "null": null, "problems": np.arange(len(weaker))}
    return RawLine(**{"name": name, "oracle": "none", "note": "as made up here", **figures, **more})


def drawn(n: int, weaker: float, stronger: float, null: float, seed: int = 0) -> RawLine:
    """Right or wrong with these shares; the null is a chance a problem."""
    rng = np.random.default_rng(seed)
    right = [(rng.random(n) < share).astype(float) for share in (weaker, stronger)]
    return measured(right[0], right[1], np.full(n, null))


def test_the_share_is_what_the_weaker_has_of_the_stronger_over_the_null():
    line = drawn(400, 0.6, 0.9, 0.2)
    found = line.share(seed=0, level=0.95)
    wanted = (line.weaker.mean() - 0.2) / (line.stronger.mean() - 0.2)
    assert found.value == pytest.approx(wanted)
    # The delta method's interval for a ratio of means.
    residual = (line.weaker - 0.2) - wanted * (line.stronger - 0.2)
    half = 1.96 * residual.std() / np.sqrt(400) / (line.stronger.mean() - 0.2)
    assert (found.low, found.high) == pytest.approx((wanted - half, wanted + half), abs=0.2 * half)


@given(st.integers(2, 12), st.integers(0, 40), st.data())
def test_a_resamples_share_is_the_share_of_the_problems_drawn(n, seed, data):
    size = n + data.draw(st.integers(0, 8))
    problems = np.array(sorted(data.draw(st.permutations(range(size)))[:n]))
    rng = np.random.default_rng(seed)
    columns = [rng.choice([0.0, 0.5, 1.0], n) for _ in range(3)]
    line = measured(columns[0], columns[1], columns[2], problems=problems)
    draws = resamples(size, seed, 20)
    place = {problem: i for i, problem in enumerate(problems.tolist())}
    for draw, found in zip(draws, line.resampled_share(draws, size), strict=True):
        there = [place[problem] for problem in draw.tolist() if problem in place]
        weaker, stronger, null = (column[there] for column in columns)
        over = (stronger - null).sum()
        if over > 0:
            assert found == pytest.approx((weaker - null).sum() / over)
        else:
            assert np.isnan(found), "a share of nothing, or of less"


@pytest.mark.parametrize(
    ("stronger", "null"),
    [(0.5, 0.5), (0.2, 0.8), (0.5, 0.49)],
    ids=["no gap", "the stronger is under the null", "a gap that may be none"],
)
def test_without_a_sure_gap_no_share_is_taken(stronger, null):
    rng = np.random.default_rng(0)
    right = (rng.random(60) < stronger).astype(float)
    line = measured(np.ones(60), right, np.full(60, null))
    share = line.share(seed=0, level=0.95)
    assert np.isnan(share.value)
    assert (share.low, share.high) == (-np.inf, np.inf)
    reported = line.line(0.0001, RULE, seed=0)
    assert reported.says == "unclear"
    assert "no share is taken" in reported.note


@pytest.mark.parametrize(("weaker", "expected"), [(0.9, "latent"), (0.02, "absent"), (0.4, "unclear")])
def test_a_line_says_what_its_share_says(weaker, expected):
    line = drawn(300, weaker, 0.95, 0.1)
    reported = line.line(0.001, RULE, seed=0)
    assert reported.says == expected
    share = line.share(seed=0, level=RULE.level)
    assert f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]" in reported.note
    assert reported.note.startswith("as made up here; ")
    assert (reported.name, reported.oracle, reported.p) == ("recovered", "none", 0.001)
    assert drawn(300, 0.9, 0.95, 0.1).line(0.2, RULE, seed=0).says == "unclear"


@pytest.mark.parametrize("weaker", [0.0, 1.0])
def test_too_few_problems_say_nothing(weaker):
    few = RULE.min_problems - 1
    line = measured(np.full(few, weaker), np.ones(few), np.zeros(few))
    reported = line.line(0.0001, RULE, seed=0)
    assert reported.says == "unclear"
    assert f"only {few} problems" in reported.note
    enough = measured(np.full(few + 1, weaker), np.ones(few + 1), np.zeros(few + 1))
    assert enough.line(0.0001, RULE, seed=0).says == ("latent" if weaker else "absent")


def test_a_figure_is_reported_with_its_null():
    line = drawn(200, 0.7, 0.9, 0.25)
    reported = line.line(0.01, RULE, seed=0)
    assert reported.estimate.value == line.weaker.mean()
    assert (reported.null.value, reported.null.low, reported.null.high) == pytest.approx((0.25, 0.25, 0.25))
    assert reported.estimate.n == reported.null.n == 200


def test_a_recovered_gap_counts_from_the_unaided_and_is_not_clamped():
    unaided = np.repeat([1.0, 0.0], [20, 80])
    stronger = np.repeat([1.0, 0.0], [70, 30])
    for steered, gap in ((np.repeat([1.0, 0.0], [60, 40]), 0.8), (np.zeros(100), -0.4), (np.ones(100), 1.6)):
        line = measured(steered, stronger, np.full(100, 0.25), kind="gap", unaided=unaided)
        reported = line.line(0.01, RULE, seed=0)
        assert reported.estimate.value == pytest.approx(gap)
        assert reported.estimate.low <= gap <= reported.estimate.high
        assert reported.null.value == pytest.approx(0.1)


def test_p_is_of_the_weaker_over_the_null():
    rng = np.random.default_rng(0)
    null = rng.choice([0.1, 0.2], 200)
    assert measured(null + 0.3, np.ones(200), null).p(seed=0) < 0.001
    assert measured(null - 0.3, np.ones(200), null).p(seed=0) > 0.999


@pytest.mark.parametrize("n", [0, 4])
def test_figures_must_be_of_the_problems_named(n):
    with (
        signatures_unchecked(),
        pytest.raises(ValueError, match=f"expected figures for {n} problems, one or more"),
    ):
        measured(np.zeros(0), np.zeros(0), np.zeros(0), problems=np.arange(n))


def test_a_share_of_nothing_but_rounding_is_none():
    """Thirds sum to no whole number; in some orders of a sum what is nothing is then 1e-16."""
    stronger, null = np.array([1.0, 0.0, 0.0] * 20), np.full(60, 1 / 3)
    line = measured(stronger, stronger, null)
    draws = np.stack([np.roll(np.arange(60), shift) for shift in range(60)])
    assert np.isnan(line.resampled_share(draws, 60)).all()
    assert not np.isfinite(share(np.stack([stronger, stronger, null], -1)))


def test_a_share_of_one_half_is_one_half_in_any_order():
    rng = np.random.default_rng(0)
    for n in (12, 30, 60):
        data = np.stack([np.arange(n) % 3 < 2, np.ones(n), np.full(n, 1 / 3)], -1).astype(float)
        data = np.concatenate([data, data])
        for _ in range(20):
            rng.shuffle(data)
            line = measured(*data.T)
            assert share(data) == 0.5
            assert line.resampled_share(np.arange(2 * n)[None], 2 * n) == 0.5
