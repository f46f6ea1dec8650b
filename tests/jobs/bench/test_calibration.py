"""The weights of a verdict's confidence, held against scikit-learn and against what was planted."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tests.jobs.bench.made_up import case, judged
from undertext.activations import UserError
from undertext.jobs.bench.calibration import PRIOR, calibrate
from undertext.jobs.bench.case import Judged
from undertext.jobs.compare.confidence import log_odds

INTERCEPT, SLOPE, CONFLICT = 1.0, 0.4, 1.5


def verdicts(n: int, seed: int = 0) -> list[Judged]:
    """Verdicts that are right as often as the planted weights say."""
    rng, found = np.random.default_rng(seed), []
    for world, stability, against in zip(
        count(), rng.uniform(0.3, 1.0, n), rng.integers(0, 3, n), strict=False
    ):
        odds = INTERCEPT + SLOPE * log_odds(float(stability)) - CONFLICT * against
        verdict = "elicited" if rng.random() < expit(odds) else "suppressed"
        of = case("password", "elicited", world, "tuning")
        found.append(judged(of, verdict, 0.5, stability=float(stability), against=int(against)))
    return found


def test_it_is_scikit_learns_fit_to_platts_targets():
    given = verdicts(80)
    right = np.array([each.right for each in given])
    figures = np.array([(log_odds(each.stability or 0.0), -each.against) for each in given])
    high, low = (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2)
    target = np.where(right, high, low)
    reference = LogisticRegression(C=1 / (2 * PRIOR), tol=1e-10, max_iter=10_000).fit(
        np.concatenate([figures, figures]),
        np.repeat([True, False], len(given)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    fitted = calibrate(given)
    assert (fitted.cases, fitted.right) == (80, right.sum())
    assert fitted[:3] == pytest.approx([*reference.intercept_, *reference.coef_[0]], abs=2e-3)


def test_it_finds_what_was_planted():
    fitted = calibrate(verdicts(6000))
    assert fitted[:3] == pytest.approx((INTERCEPT, SLOPE, CONFLICT), abs=0.15)


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
    others = [
        replace(each, case=replace(each.case, world=f"graph-qwen3-word-{i}", **why), **what)
        for i, each in enumerate(given)
        for why, what in (
            ({"part": "held out"}, {"verdict": "suppressed"}),
            ({"part": "tuning", "ambiguous": "a mixture"}, {"verdict": "suppressed"}),
            ({"part": "tuning", "organism": "silent"}, {"verdict": "undetermined"}),
            ({"part": "tuning", "organism": "other"}, {"judge": "accuracy alone", "stability": None}),
        )
    ]
    assert calibrate([*others, *given]) == fitted
    again = replace(first, seed=1, verdict="suppressed", stability=1.0)
    assert calibrate([again, *given]) == fitted, "a case counts once, by the smallest seed"


def test_without_a_verdict_there_is_nothing_to_fit():
    with pytest.raises(UserError, match="expected verdicts of undertext on scored cases of the part tuning"):
        calibrate([])
