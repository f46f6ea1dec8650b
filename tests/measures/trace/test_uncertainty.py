"""Internal and voiced uncertainty: scores against loops and scikit-learn's, readings on a planted signal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from tests.trails_task import toy
from undertext.measures.trace.uncertainty import (
    BINS,
    area_under_roc,
    brier,
    calibration_error,
    enough,
    internal,
    voiced,
)

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def test_the_case_of_the_docs():
    p, wrong = np.array([0.9, 0.9, 0.2, 0.2]), np.array([True, False, False, False])
    assert calibration_error(p, wrong) == pytest.approx((abs(1.8 - 1) + abs(0.4 - 0)) / 4)
    assert brier(p, wrong).mean() == pytest.approx((0.01 + 0.81 + 0.04 + 0.04) / 4)
    assert area_under_roc(p, wrong) == pytest.approx((0.5 + 1 + 1) / 3)


@given(PAIRS)
def test_scores_against_loops_and_scikit_learn(pairs):
    p, wrong = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
    total = 0.0
    for k in range(BINS):
        own = [i for i, each in enumerate(p) if min(int(each * BINS), BINS - 1) == k]
        if own:
            total += len(own) / len(p) * abs(p[own].mean() - wrong[own].mean())
    assert calibration_error(p, wrong) == pytest.approx(total, abs=1e-9)
    assert brier(p, wrong).mean() == pytest.approx(brier_score_loss(wrong, p, labels=[False, True]))
    found = area_under_roc(p, wrong)
    if wrong.all() or not wrong.any():
        assert found is None
    else:
        assert found == pytest.approx(roc_auc_score(wrong, p))


def test_nothing_is_not_calibrated():
    assert calibration_error(np.array([]), np.array([], bool)) is None


def test_few_right_or_wrong_answers_are_not_enough():
    some = np.array([True] * 5 + [False] * 5)
    assert enough(some, some)
    assert not enough(some, some[:9])


def test_what_stands_in_the_prompt_is_read_and_what_does_not_is_not():
    checkpoint, rng = toy(), np.random.default_rng(0)

    def drawn(n: int) -> tuple[list[str], np.ndarray]:
        wrong = rng.random(n) < 0.5
        texts = [f"a = {rng.integers(10)} ; {'find' if each else 'so'} :" for each in wrong]
        return texts, wrong

    (fit, a), (choose, b), (read, c) = drawn(80), drawn(40), drawn(60)
    found = internal(checkpoint, (fit, choose, read), (a, b), [0, 1, 2])
    assert found.layer in (0, 1, 2)
    assert area_under_roc(found.wrong, c) == pytest.approx(1.0)
    other = internal(checkpoint, (fit, choose, read), (rng.permutation(a), rng.permutation(b)), [0, 1, 2])
    assert abs((area_under_roc(other.wrong, c) or 0.5) - 0.5) < 0.35


def test_voiced_doubt_is_read_and_silence_says_the_share_that_is_wrong():
    rng = np.random.default_rng(1)
    wrong = rng.random(200) < 0.5
    doubt = np.where(wrong, 3.0, 1.0) + rng.random(200)
    found = voiced((doubt[:80], doubt[80:120], doubt[120:]), (wrong[:80], wrong[80:120]))
    assert area_under_roc(found.wrong, wrong[120:]) == pytest.approx(1.0, abs=0.02)
    assert ((found.wrong >= 0) & (found.wrong <= 1)).all()
    silent = voiced((np.zeros(80), np.zeros(40), np.array([0.0, 5.0])), (wrong[:80], wrong[80:120]))
    assert silent.wrong.tolist() == [wrong[:80].mean()] * 2
