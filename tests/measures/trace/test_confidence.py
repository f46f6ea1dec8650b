"""Confidence along a trace: by hand, and against plain loops."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.measures.trace.confidence import (
    COMMITTED,
    EARLY,
    accuracy_gap,
    early_and_late,
    trajectory,
)


def test_the_case_of_the_docs():
    found = trajectory(np.array([0.2, 0.6, 0.4, 0.8, 1.0]))
    assert found.commitment == 3 / 4
    assert found.monotonicity == 3 / 4
    assert found.area == pytest.approx(1 - (0.4 + 0.5 + 0.6 + 0.9) / 4)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_against_plain_loops(p):
    found = trajectory(np.array(p))
    steps = len(p) - 1
    settled = [i / steps for i in range(len(p)) if all(each >= COMMITTED for each in p[i:])]
    assert found.commitment == (settled[0] if settled else None)
    assert found.monotonicity == pytest.approx(np.mean([b >= a - 1e-12 for a, b in itertools.pairwise(p)]))
    assert found.area == pytest.approx(1 - np.trapezoid(p, dx=1 / steps))


@pytest.mark.parametrize("p", [[0.9], [0.1]])
def test_without_a_step_there_is_nothing_to_tell(p):
    found = trajectory(np.array(p))
    assert (found.commitment, found.monotonicity, found.area) == (None, None, None)


def test_one_step_and_two_hundred():
    assert trajectory(np.array([0.1, 0.9])).commitment == 1.0
    assert trajectory(np.array([0.9, 0.9])).commitment == 0.0
    assert trajectory(np.array([0.9, 0.1])).commitment is None
    long = np.concatenate([np.full(150, 0.1), np.full(51, 0.9)])
    assert trajectory(long).commitment == 150 / 200


def test_early_commitment_against_accuracy():
    commitments = np.array([0.0, EARLY, 0.5, 1.0, np.nan, 0.1])
    right = np.array([True, False, True, True, True, False])
    rows = early_and_late(commitments, right)
    assert np.isnan(rows[4]).all()
    means = np.nanmean(rows, 0)
    assert float(accuracy_gap(means)) == pytest.approx(1.0 - 1 / 3)
    assert np.isnan(accuracy_gap(np.array([0.5, 1.0, 0.0, 0.0])))
