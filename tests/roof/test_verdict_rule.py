"""The rule from evidence to verdict, over every combination of what lines may say."""

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.core.statistics import Estimate
from undertext.core.terms import LineName, Says, Verdict
from undertext.jobs.compare.config import verdict_rule
from undertext.jobs.compare.verdict import Change, change, latency, says, verdict

RULE = verdict_rule()
LINES: tuple[LineName, ...] = get_args(LineName)
SAYS: tuple[Says, ...] = get_args(Says)
COMBINATIONS = [
    {name: said for name, said in zip(LINES, row, strict=True) if said is not None}
    for row in product((None, *SAYS), repeat=len(LINES))
]
"""Each line latent, absent, unclear or not measured: 4096 of them."""


def spelt_out(lines: dict[LineName, Says]) -> Says:
    """Latent where it was done; absent where it is neither done nor read, and nothing speaks for it."""
    if lines.get("recovered") == "latent" or lines.get("behaviour") == "latent":
        return "latent"
    if lines.get("recovered") != "absent" or lines.get("decodable") != "absent":
        return "unclear"
    others = [lines.get("transported"), lines.get("used"), lines.get("retained")]
    return "unclear" if "latent" in others else "absent"


def test_every_combination_of_lines_and_changes():
    expected: dict[tuple[Change, Says], Verdict] = {
        ("better", "latent"): "elicited",
        ("better", "absent"): "taught",
        ("worse", "latent"): "suppressed",
        ("worse", "absent"): "overwritten",
    }
    for lines in COMBINATIONS:
        assert latency(lines) == spelt_out(lines), lines
        assert verdict("none", lines) == "preserved"
        assert verdict("unsure", lines) == "undetermined"
        changes: tuple[Change, ...] = ("better", "worse")
        for changed in changes:
            assert verdict(changed, lines) == expected.get((changed, spelt_out(lines)), "undetermined"), lines


def test_latent_needs_the_capability_to_have_been_seen():
    for lines in COMBINATIONS:
        if {verdict("better", lines), verdict("worse", lines)} & {"elicited", "suppressed"}:
            assert "latent" in (lines.get("recovered"), lines.get("behaviour"))


def test_absent_needs_nothing_to_read_and_nothing_recovered():
    for lines in COMBINATIONS:
        if {verdict("better", lines), verdict("worse", lines)} & {"taught", "overwritten"}:
            assert lines["decodable"] == lines["recovered"] == "absent"
            assert "latent" not in lines.values()


def test_without_evidence_nothing_is_claimed():
    assert verdict("better", {}) == verdict("worse", {}) == "undetermined"
    for lines in COMBINATIONS:
        if set(lines.values()) <= {"unclear"}:
            assert verdict("better", lines) == verdict("worse", lines) == "undetermined"


def estimate(low: float, value: float, high: float) -> Estimate:
    return Estimate(value, low, high, 100)


gap = RULE.min_gap


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (estimate(0.01, gap, 0.3), "better"),
        (estimate(0.3, 0.5, 0.7), "better"),
        (estimate(-0.3, -gap, -0.01), "worse"),
        (estimate(-0.06, 0.0, 0.06), "none"),
        (estimate(0.01, gap / 2, gap - 0.01), "none"),  # surely there, and surely too small to count
        (estimate(-gap + 0.01, -gap / 2, -0.01), "none"),
        (estimate(0.0, gap, 0.2), "unsure"),  # touches zero
        (estimate(-0.2, 0.0, 0.2), "unsure"),
        (estimate(0.01, gap - 0.01, gap + 0.05), "unsure"),
        (estimate(-gap, 0.0, 0.05), "unsure"),
        (estimate(-0.4, -gap - 0.1, 0.0), "unsure"),
    ],
)
def test_change(difference, expected):
    assert change(difference, RULE) == expected


bounds = st.tuples(*[st.floats(-3, 3)] * 3).map(sorted)


@given(bounds, st.floats(0, 1), st.sampled_from(LINES))
def test_what_a_line_says(bounds, p, name):
    share = estimate(*bounds)
    said = says(name, share, p, RULE)
    if said == "latent":
        assert share.low > RULE.latent_above
        assert p <= RULE.alpha
    if said == "absent":
        assert share.high < RULE.absent_below
        assert name != "behaviour"


@pytest.mark.parametrize(
    ("share", "p", "expected"),
    [
        (estimate(0.6, 0.8, 0.95), 0.001, "latent"),
        (estimate(0.6, 0.8, 0.95), RULE.alpha + 0.01, "unclear"),
        (estimate(RULE.latent_above, 0.8, 0.95), 0.001, "unclear"),
        (estimate(-0.1, 0.0, 0.2), 0.9, "absent"),
        (estimate(-0.1, 0.0, RULE.absent_below), 0.9, "unclear"),
        (estimate(0.1, 0.4, 0.8), 0.001, "unclear"),
    ],
)
def test_a_line_says_what_its_whole_interval_says(share, p, expected):
    assert says("recovered", share, p, RULE) == expected
    assert says("behaviour", share, p, RULE) == ("unclear" if expected == "absent" else expected)
