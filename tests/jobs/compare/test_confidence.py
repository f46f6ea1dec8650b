"""The confidence in a verdict: logistic in its stability and in what contradicts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from undertext.core.terms import LineName, Says, Verdict
from undertext.jobs.compare.confidence import confidence, contradicting
from undertext.jobs.compare.config import Rule, verdict_rule

STABILITY = st.floats(0.0, 1.0)


def weighted(intercept: float = 0.5, stability: float = 0.4, conflict: float = 1.5) -> Rule:
    weights = {
        "confidence_intercept": intercept,
        "confidence_stability": stability,
        "confidence_conflict": conflict,
        "confidence_taught": 0.7,
        "confidence_overwritten": 0.9,
    }
    return verdict_rule().model_copy(update=weights)


@given(st.floats(0.001, 0.999), st.integers(0, 3))
def test_it_is_the_logistic_function_of_both_figures(stability, against):
    odds = 0.5 + 0.4 * logit(stability) - 1.5 * against
    assert confidence("elicited", stability, against, weighted()) == pytest.approx(expit(odds))
    assert confidence("taught", stability, against, weighted()) == pytest.approx(expit(odds - 0.7))
    assert confidence("overwritten", stability, against, weighted()) == pytest.approx(expit(odds - 0.9))


@given(STABILITY, STABILITY, st.integers(0, 3))
def test_no_verdict_is_surer_for_being_less_stable_or_for_being_contradicted(one, other, against):
    low, high = sorted((one, other))
    rule = verdict_rule()
    assert confidence("taught", low, against, rule) <= confidence("taught", high, against, rule)
    assert confidence("taught", one, against + 1, rule) <= confidence("taught", one, against, rule)
    assert confidence("taught", one, against, rule) <= confidence("elicited", one, against, rule)


def test_none_is_certain():
    for stability in (0.0, 1.0):
        assert 0 < confidence("preserved", stability, 0, verdict_rule()) < 1


@given(STABILITY)
def test_of_no_verdict_it_is_the_stability(stability):
    assert confidence("undetermined", stability, 2, weighted()) == stability


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("elicited", ["continued", "decodable"]),
        ("suppressed", ["continued", "decodable"]),
        ("composed", ["continued", "decodable"]),
        ("taught", []),
        ("overwritten", []),
        ("preserved", []),
        ("undetermined", []),
    ],
)
def test_steps_and_values_that_are_not_there_contradict_what_finds_the_capability(
    verdict: Verdict, expected: list[LineName]
):
    names: tuple[LineName, ...] = ("prompted", "continued", "decodable", "transported", "used", "recovered")
    absent: dict[LineName, Says] = dict.fromkeys(names, "absent")
    assert contradicting(verdict, absent) == expected
    assert contradicting(verdict, {**absent, "continued": "unclear", "decodable": "latent"}) == []
