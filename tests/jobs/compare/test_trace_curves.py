"""Curves along traces, from made-up ones: means by hand, and what is left out."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.verdicts import answers
from undertext.core.statistics import mean_intervals
from undertext.core.terms import ROLES
from undertext.jobs.compare.trace_curves import CURVES, GAIN, GIVEN, SHARES, curve_rows
from undertext.jobs.compare.trace_parts import Traced, TraceReads
from undertext.measures.trace.ends import Curve, Ends


def curve(given: Sequence[float], right: Sequence[float] | None) -> Curve:
    """Places as far apart as they can be."""
    shares = np.linspace(0, 1, len(given)) if len(given) > 1 else np.zeros(1)
    return Curve(shares, np.array(given), None if right is None else np.array(right))


def reads_of(curves: Sequence[Curve]) -> TraceReads:
    n = len(curves)
    before, after = (np.array([each.given[end] for each in curves]) for end in (0, -1))
    stepped = np.array([len(each.given) > 1 for each in curves], bool)
    own = Ends(list(range(n)), before, after, np.full(n, np.nan), stepped, 0, curves)
    return TraceReads({("test", role): Traced(own, {}, int(stepped.sum())) for role in ROLES}, {})


def rows_of(curves: Sequence[Curve], figure: str, seed: int = 0) -> list[dict[str, object]]:
    own = answers(np.ones(len(curves), bool))
    rows = curve_rows(reads_of(curves), "test", dict.fromkeys(ROLES, own), 0.95, seed)
    assert all(list(row) == CURVES.names for row in rows)
    return [row for row in rows if (row["checkpoint"], row["figure"]) == ("tuned", figure)]


MADE = [
    curve([0.2, 0.6], [-4.0, -1.0]),  # a straight line
    curve([0.4, 0.4, 1.0], [-2.0, -3.0, -1.0]),  # bent in the middle
    curve([0.1, 0.9], None),  # its right answer does not fit
    curve([0.5], [-1.0]),  # without a step
]


def test_means_are_over_traces_with_a_step_with_straight_lines_between_steps():
    confidence = rows_of(MADE, GIVEN)
    first = 0.2 + 0.4 * SHARES
    second = np.interp(SHARES, [0, 0.5, 1], [0.4, 0.4, 1.0])
    third = 0.1 + 0.8 * SHARES
    assert [row["share"] for row in confidence] == SHARES.tolist()
    assert [row["value"] for row in confidence] == pytest.approx(np.mean([first, second, third], 0).tolist())
    assert {row["n"] for row in confidence} == {3}
    middle = mean_intervals(np.array([0.4, 0.4, 0.5]), np.ones((1, 3)), 0.95, None).estimate(3, 0.95)
    assert confidence[5]["low"] == pytest.approx(max(0, middle.low))
    assert confidence[5]["high"] == pytest.approx(min(1, middle.high))


def test_gain_is_what_a_trace_has_added_and_needs_the_right_answer():
    gain = rows_of(MADE, GAIN)
    assert {row["n"] for row in gain} == {2}
    assert (gain[0]["value"], gain[0]["low"], gain[0]["high"]) == (0, 0, 0)
    assert gain[5]["value"] == pytest.approx((1.5 - 1.0) / 2)
    assert (gain[5]["low"], gain[5]["high"]) == pytest.approx((-1.0, 1.5))
    assert gain[10]["value"] == pytest.approx((3.0 + 1.0) / 2)


def test_one_trace_alone_is_no_mean():
    assert rows_of(MADE[:1], GIVEN) == rows_of(MADE[:1], GAIN) == []
    assert rows_of(MADE[1:3], GAIN) == []
    assert len(rows_of(MADE[1:3], GIVEN)) == len(SHARES)


def test_the_seed_moves_the_interval_of_the_gain_alone():
    many = [curve([0.1, 0.1 + k / 60], [-3.0, -k / 20]) for k in range(40)]
    for figure, moved in ((GIVEN, False), (GAIN, True)):
        one, same, other = (rows_of(many, figure, seed) for seed in (0, 0, 1))
        assert one == same
        assert (one != other) == moved
        assert [row["value"] for row in one] == [row["value"] for row in other]
