"""Curves of information gain on made-up readings: against plain loops, and where they end."""

from typing import Any

import numpy as np
import pytest

from tests.trails_task import gold, problem, written
from undertext.core.statistics import bootstrap, only
from undertext.jobs.measure.collected import Collected, TrailReads, along_rows, information_columns
from undertext.jobs.measure.figures_of import measured
from undertext.jobs.measure.gain_curves import SHARES, curve_rows, gain_curve
from undertext.measures.trace.along import AnswerAlong

PROBLEMS = 5
LOGS = {
    "base": {0: [-2.0, -1.0, -0.5], 1: [-3.0, -2.5], 2: [-1.0], 4: [-2.0, -4.0, -1.0, -0.5]},
    "tuned": {0: [-2.5, -0.2, -0.1], 1: [-1.0, -0.5], 3: [-4.0, -3.0]},
}
"""By reader and problem, the log-probability of the right answer after 0, 1, ... steps."""


def reads_of(logs: dict[int, list[float]]) -> TrailReads:
    trails = [
        gold(problem(i, len(own) - 1))[0] if len(own) > 1 else written("answer 5", k=i)
        for i, own in logs.items()
    ]
    right = [
        AnswerAlong(np.array(own), np.array([9.0 - 2 * k * (i + 1) for k in range(len(own))]), 1)
        for i, own in logs.items()
    ]
    return TrailReads(list(logs), trails, right, right)


READS: dict[Any, TrailReads] = {role: reads_of(logs) for role, logs in LOGS.items()}


def line(logs: list[float], share: float) -> float:
    """The gain at a share of the steps, on the straight line between two of them."""
    at = share * (len(logs) - 1)
    k = min(int(at), len(logs) - 2)
    return logs[k] + (at - k) * (logs[k + 1] - logs[k]) - logs[0]


def test_means_and_changes_against_plain_loops():
    rows = curve_rows("own traces", READS, PROBLEMS, None, 0)
    found = {(row["checkpoint"], round(row["share"], 9)): row for row in rows}
    assert len(found) == len(rows) == 3 * len(SHARES)
    for share in SHARES:
        each = {
            role: {i: line(own, share) for i, own in logs.items() if len(own) > 1}
            for role, logs in LOGS.items()
        }
        both = sorted(each["base"].keys() & each["tuned"].keys())
        each["change"] = {i: each["tuned"][i] - each["base"][i] for i in both}
        for name, values in each.items():
            row = found[name, round(share, 9)]
            assert (row["traces"], row["n"]) == ("own traces", len(values))
            assert row["gain"] == pytest.approx(np.mean(list(values.values())))
            drawn = bootstrap(only, np.array(list(values.values()))[:, None], seed=0)
            assert (row["low"], row["high"]) == pytest.approx((drawn.low, drawn.high))


def test_problems_of_one_group_are_drawn_together():
    units = np.array([0, 0, 1, 2, 0])
    alone, grouped = (curve_rows("own traces", READS, PROBLEMS, each, 0)[-3] for each in (None, units))
    assert alone["gain"] == grouped["gain"]
    assert (alone["low"], alone["high"]) != (grouped["low"], grouped["high"])


def test_what_has_no_trace_or_no_step_has_no_curve():
    curve = gain_curve(READS["base"], PROBLEMS)
    assert np.isnan(curve[[2, 3]]).all()
    assert not np.isnan(curve[[0, 1, 4]]).any()
    assert curve[:, 0].tolist() == pytest.approx([0, 0, np.nan, np.nan, 0], nan_ok=True)


def test_one_checkpoint_has_no_change_and_one_trace_has_no_curve():
    alone = curve_rows("own traces", {"base": READS["base"]}, PROBLEMS, None, 0)
    assert {row["checkpoint"] for row in alone} == {"base"}
    assert curve_rows("own traces", {"base": reads_of({0: [-1.0, 0.0]})}, PROBLEMS, None, 0) == []


@pytest.mark.parametrize("paired", [True, False])
def test_steps_add_up_to_the_figures_and_curves_end_there(paired):
    collected = Collected()
    information_columns(collected, "own traces", READS, PROBLEMS, paired=paired)
    figures: dict[str, Any] = {
        column.figure: measured(column, None, 0)
        for column in collected.columns
        if column.figure.startswith("gain")
    }
    ends = {row["checkpoint"]: row for row in curve_rows("own traces", READS, PROBLEMS, None, 0)}
    total = figures["gain, answer form (nats)"]
    for role, reads in READS.items():
        rows = along_rows(role, "own traces", reads, None)
        assert all((row["gain"] is None) == (row["step"] == 0) for row in rows)
        for column, name in (
            ("gain", "gain, answer form (nats)"),
            ("gain_published", "gain, published code's form"),
        ):
            sums: dict[str, float] = {}
            for row in rows:
                assert (row[column] is None) == (row["step"] == 0)
                if row["step"]:
                    sums[row["problem"]] = sums.get(row["problem"], 0.0) + row[column]
            assert figures[name][role]["value"] == pytest.approx(np.mean(list(sums.values())))
            assert figures[name][role]["n"] == len(sums)
        assert [ends[role][end] for end in ("gain", "low", "high", "n")] == pytest.approx(
            [total[role][end] for end in ("value", "low", "high", "n")]
        )
    assert (total["change"] is not None) == paired
    if paired:
        assert [ends["change"][end] for end in ("gain", "low", "high", "n")] == pytest.approx(
            [total["change"][end] for end in ("value", "low", "high", "n")]
        )


def test_each_step_of_the_published_form_is_its_share_of_the_fall():
    # Problem 4 has three steps, and its perplexity falls by ten at each.
    rows = [row for row in along_rows("base", "own traces", READS["base"], None) if row["of"] == 3]
    assert [row["gain_published"] for row in rows] == [None, 2.5, 2.5, 2.5]
    assert [row["gain"] for row in rows] == [None, -2.0, 3.0, 0.5]
