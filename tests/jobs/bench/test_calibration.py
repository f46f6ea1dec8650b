"""The weights of a verdict's confidence, held against scikit-learn and against what was planted."""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tests.jobs.bench.made_up import case, judged
from undertext.activations import UserError
from undertext.core.terms import Verdict
from undertext.jobs.bench.calibration import EXPECTED, PRIOR, calibrate, reweighed
from undertext.jobs.bench.case import Judged
from undertext.jobs.bench.records import read_records
from undertext.jobs.compare.confidence import confidence, log_odds
from undertext.jobs.compare.config import verdict_rule

INTERCEPT, SLOPE, CONFLICT = 1.0, 0.4, 1.5
TAUGHT, OVERWRITTEN = 0.3, 1.1

KINDS: tuple[tuple[Verdict, float], ...] = (
    ("elicited", 0.0), ("taught", TAUGHT), ("overwritten", OVERWRITTEN),
)  # fmt: skip


def verdicts(n: int, seed: int = 0) -> list[Judged]:
    """Verdicts that are right as often as the planted weights say."""
    rng, found = np.random.default_rng(seed), []
    for world, stability, against in zip(
        count(), rng.uniform(0.3, 1.0, n), rng.integers(0, 3, n), strict=False
    ):
        verdict, less = KINDS[world % len(KINDS)]
        odds = INTERCEPT + SLOPE * log_odds(float(stability)) - CONFLICT * against - less
        truth: Verdict = verdict if rng.random() < expit(odds) else "preserved"
        of = case("password", truth, world, "tuning")
        found.append(judged(of, verdict, 0.5, stability=float(stability), against=int(against)))
    return found


def figures_and_targets(given: list[Judged]) -> tuple[np.ndarray, np.ndarray]:
    right = np.array([each.right for each in given])
    figures = np.array(
        [
            (
                log_odds(each.stability or 0.0),
                -each.against,
                -(each.verdict == "taught"),
                -(each.verdict == "overwritten"),
            )
            for each in given
        ]
    )
    return figures, np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))


def test_it_is_scikit_learns_fit_to_platts_targets_where_nothing_contradicts():
    given = [replace(each, against=0) for each in verdicts(900)]
    figures, target = figures_and_targets(given)
    reference = LogisticRegression(C=1 / (2 * PRIOR), tol=1e-10, max_iter=10_000).fit(
        np.concatenate([figures, figures]),
        np.repeat([True, False], len(given)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    fitted = calibrate(given)
    assert (fitted.cases, fitted.right) == (900, sum(each.right for each in given))
    intercept, (stability, _, *absence) = reference.intercept_[0], reference.coef_[0]
    assert min(absence) > 0, "else the bound holds it, and not the fit"
    assert fitted[:5] == pytest.approx([intercept, stability, 1.0, *absence], abs=2e-3)


def test_contradictions_are_drawn_towards_what_is_expected_of_them():
    """At the best weights the loss and the squares pull equally."""
    given = verdicts(300)
    figures, target = figures_and_targets(given)
    weights = np.array(calibrate(given)[:5])
    pull = np.c_[np.ones(len(given)), figures].T @ (
        expit(weights[0] + figures @ weights[1:]) - target
    ) + 2 * PRIOR * np.array([0.0, *(weights[1:] - EXPECTED)])
    assert weights.min() > 0.05
    assert pull == pytest.approx(np.zeros(5), abs=0.2)


def test_it_finds_what_was_planted():
    fitted = calibrate(verdicts(6000))
    assert fitted[:5] == pytest.approx((INTERCEPT, SLOPE, CONFLICT, TAUGHT, OVERWRITTEN), abs=0.2)


def test_where_all_are_right_none_is_certain_and_nothing_counts_against_what_is_surer():
    given = [each for each in verdicts(60) if each.right]
    fitted = calibrate(given)
    assert fitted.confidence_stability >= 0
    assert fitted.confidence_conflict >= 0
    surest = expit(fitted.confidence_intercept + fitted.confidence_stability * log_odds(1.0))
    assert 0.9 < surest < 1


def test_only_our_own_scored_verdicts_of_the_tuning_part_count():
    given = verdicts(40)
    fitted = calibrate(given)
    first = given[0]
    unlike: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"part": "held out"}, {"verdict": "preserved"}),
        ({"part": "tuning", "ambiguous": "a mixture"}, {"verdict": "suppressed"}),
        ({"part": "tuning", "organism": "silent"}, {"verdict": "undetermined"}),
        ({"part": "tuning", "organism": "other"}, {"judge": "accuracy alone", "stability": None}),
    ]
    others = [
        replace(each, case=replace(each.case, world=f"graph-qwen3-word-{i}", **why), **what)
        for i, each in enumerate(given)
        for why, what in unlike
    ]
    assert calibrate([*others, *given]) == fitted
    again = replace(first, seed=1, verdict="suppressed", stability=1.0)
    assert calibrate([again, *given]) == fitted, "a case counts once, by the smallest seed"


def test_it_is_fitted_on_the_worlds_that_are_named_alone():
    given = verdicts(60)
    worlds = sorted({each.case.world for each in given})[:40]
    assert calibrate(given, worlds) == calibrate(each for each in given if each.case.world in worlds)
    assert calibrate(given, ("chain",)) == calibrate(given)
    with pytest.raises(
        UserError, match=r"expected families or worlds of the part tuning \(chain, .*got chess"
    ):
        calibrate(given, ("chess",))


def test_what_was_judged_before_gets_todays_confidence_and_nothing_else_moves():
    given = verdicts(40)
    others = [
        replace(given[0], judge="accuracy alone", stability=None, confidence=1.0),
        replace(given[1], seed=1, stability=None, confidence=0.3),
    ]
    silent = replace(given[2], seed=1, verdict="undetermined", stability=0.4, confidence=0.9)
    rule = verdict_rule()
    found = reweighed([*given, *others, silent], rule)
    assert found[-3:-1] == tuple(others)
    assert found[-1] == replace(silent, confidence=0.4), "of no verdict it is the stability"
    for before, now in zip(given, found, strict=False):
        assert now == replace(before, confidence=now.confidence)
        assert now.confidence == confidence(before.verdict, before.stability or 0.0, before.against, rule)
    assert len({each.confidence for each in found[:40]}) > 20
    assert reweighed(found, rule) == found


def test_the_judgements_in_the_docs_have_todays_confidence():
    records = read_records(Path(__file__).parents[3] / "docs" / "bench.json")
    kept = [each.confidence for each in records]
    assert kept == pytest.approx([each.confidence for each in reweighed(records, verdict_rule())], abs=1e-9)


def test_without_a_verdict_there_is_nothing_to_fit():
    with pytest.raises(UserError, match="expected verdicts of undertext on scored cases of the part tuning"):
        calibrate([])


def test_the_weights_of_the_shipped_rule_are_those_of_the_verdicts_in_the_docs():
    """docs/calibration.json, which configs/verdict.yaml names."""
    records = read_records(Path(__file__).parents[3] / "docs" / "calibration.json")
    fitted = calibrate(records)._asdict()
    rule = verdict_rule()
    assert (fitted.pop("cases"), fitted.pop("right")) == (87, 84)
    assert {name: getattr(rule, name) for name in fitted} == pytest.approx(fitted, abs=0.002)
