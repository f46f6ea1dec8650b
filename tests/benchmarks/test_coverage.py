"""How often intervals hold the truth: by simulation, and what docs/coverage.md says of it."""

from math import inf, sqrt
from pathlib import Path

import pytest

from benchmarks._coverage import ALPHA, DRAWS, KINDS, LOW, Covered, Kind, coverage, errors, page
from tests.docs.markdown import numbers, tables
from undertext.core.statistics import Estimate, proportion

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
QUICK = [kind for kind in KINDS if kind.draws == DRAWS]


def name_of(kind: Kind) -> str:
    return f"{kind.name}, {kind.problems}"


@pytest.mark.parametrize("kind", QUICK, ids=name_of)
def test_an_interval_holds_the_truth_as_often_as_it_says(kind):
    draws = 150
    error = sqrt(0.05 * 0.95 / (draws * len(kind.truths)))
    # Wider than need be is not forbidden: too sure is worse than too careful.
    assert coverage(kind, draws).mean >= 0.95 - 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in QUICK], ids=name_of)
def test_a_resampled_interval_holds_the_truth_nearly_as_often(kind):
    """The bootstrap of 20 problems falls short by some points, and no further."""
    draws = 100
    error = sqrt(0.05 * 0.95 / (draws * len(kind.truths)))
    assert coverage(kind, draws).mean >= 0.92 - 3 * error


def test_too_narrow_and_too_wide_intervals_are_told():
    def half(rng, p, _):
        found = proportion(rng.random(60) < p)
        low, high = (found.value + (end - found.value) / 2 for end in (found.low, found.high))
        return Estimate(found.value, low, high, 60)

    narrow = coverage(Kind("half", "60", (0.3, 0.5), half), 300)
    assert 0.5 < narrow.mean < 0.85  # half of 1.96 standard errors hold 0.67
    assert narrow.holds == "too sure"
    wide = coverage(Kind("all", "0", (0.5,), lambda rng, p, i: Estimate(p, -inf, inf, 0)), 5)
    assert (wide.mean, wide.least, wide.most, wide.holds) == (1, 1, 1, "too careful")
    assert Covered(wide.kind, 0.95, 0.9, 0.97).holds == "yes"


def test_p_values_err_no_more_often_than_they_should():
    found = dict(errors(300))
    most = ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / 300)
    chosen_there = found.pop("the best of 20 keys on the split itself")
    uncorrected = found.pop("any of 8 lines, not corrected")
    assert len(found) == 5
    assert max(found.values()) <= most
    assert min(chosen_there, uncorrected) > most


def test_the_page_has_every_interval_and_what_it_says_of_them_holds():
    intervals, wrong = tables(PAGE.read_text(encoding="utf-8"))
    assert [(row["interval"], row["problems"]) for row in intervals] == [(k.name, k.problems) for k in KINDS]
    short = {row["interval"]: row["problems"] for row in intervals if row["93% to 97%"] == "too sure"}
    assert all("bootstrap" in name and problems == "20" for name, problems in short.items())
    for row in intervals:
        (mean,) = numbers(row["holds the truth"])
        assert (mean < LOW) == (row["93% to 97%"] == "too sure")
        if "Clopper" in row["interval"]:
            assert mean >= 0.95
    rates = {row["where nothing is"]: numbers(row[f"p of at most {ALPHA:g}"])[0] for row in wrong}
    above = {name for name, rate in rates.items() if rate > ALPHA}
    assert above == {"any of 8 lines, not corrected", "the best of 20 keys on the split itself"}


def test_a_page_of_made_up_figures_shows_them():
    kind = Kind("made | up", "7", (0.5,), lambda rng, p, i: Estimate(p, p, p, 7))
    text = page([Covered(kind, 0.912, 0.9, 0.924)], [("a line", 0.0512)])
    (row,), (rate,) = tables(text)
    assert (row["problems"], row["holds the truth"], row["by truth"]) == ("7", "0.912", "0.900 to 0.924")
    assert row["93% to 97%"] == "too sure"
    assert rate["p of at most 0.05"] == "0.051"
