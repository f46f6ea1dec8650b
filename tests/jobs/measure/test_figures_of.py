"""Figures per problem to estimates: each kind against its statistic, NaN left out, ratios refused."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from undertext.core.statistics import paired_difference, proportion
from undertext.jobs.measure.figures_of import Column, Kind, measured
from undertext.measures.trace.sensitivity import correlation, rank_columns

RNG = np.random.default_rng(0)
N = 60
FLAGS = {"base": (RNG.random(N) < 0.4).astype(float), "tuned": (RNG.random(N) < 0.8).astype(float)}
HALF = {role: RNG.random(N) for role in ("base", "tuned")}


def figure(kind: Kind, by_role: Any, **more: Any) -> dict[str, Any] | None:
    return measured(Column("style", "a figure", "own traces", kind, by_role, **more), None, 0)


def test_shares_are_wilson_s_and_their_change_is_paired():
    found = figure("share", FLAGS)
    assert found is not None
    assert found["base"]["low"] == proportion(FLAGS["base"] > 0.5).low
    assert found["change"]["high"] == paired_difference(FLAGS["base"], FLAGS["tuned"]).high


def test_problems_without_the_figure_are_left_out_of_each_and_of_the_change():
    base, tuned = FLAGS["base"].copy(), FLAGS["tuned"].copy()
    base[:10], tuned[5:20] = np.nan, np.nan
    found = figure("share", {"base": base, "tuned": tuned})
    assert found is not None
    assert [found[name]["n"] for name in ("base", "tuned", "change")] == [N - 10, N - 15, N - 20]
    assert found["change"]["value"] == pytest.approx((FLAGS["tuned"] - FLAGS["base"])[20:].mean())


def test_one_checkpoint_alone_has_no_change():
    found = figure("mean", {"base": HALF["base"] * 40})
    assert found is not None
    assert (found["tuned"], found["change"]) == (None, None)
    assert found["base"]["value"] == pytest.approx(40 * HALF["base"].mean())
    assert found["base"]["low"] < found["base"]["value"] < found["base"]["high"]
    apart = figure("mean", HALF, paired=False)
    assert apart is not None
    assert apart["change"] is None


def test_bounded_figures_stay_within_their_bounds():
    found = figure("bounded", {"base": np.zeros(5), "tuned": np.ones(5)})
    assert found is not None
    assert (found["base"]["low"], found["tuned"]["high"]) == (0.0, 1.0)
    assert found["base"]["high"] > 0.1


def test_a_ratio_over_what_may_be_nothing_is_refused():
    sure = np.stack([0.1 + 0.1 * HALF["base"], 0.5 + 0.5 * HALF["tuned"]], -1)
    unsure = np.stack([HALF["base"], np.where(np.arange(N) < 1, 0.01, 0.0)], -1)
    found = figure("ratio", {"base": sure, "tuned": unsure})
    assert found is not None
    assert found["base"]["value"] == pytest.approx(sure[:, 0].mean() / sure[:, 1].mean())
    assert (found["tuned"], found["change"]) == (None, None)
    both = figure("ratio", {"base": sure, "tuned": sure * [2, 1]})
    assert both is not None
    assert both["change"]["value"] == pytest.approx(both["base"]["value"])


def test_areas_are_scikit_learn_s():
    rows = {role: np.stack([HALF[role], FLAGS[role]], -1) for role in ("base", "tuned")}
    rows["base"][3] = np.nan
    found = figure("roc", rows)
    assert found is not None
    known = np.arange(N) != 3
    areas = {
        role: [roc_auc_score(FLAGS[role][keep], HALF[role][keep]) for keep in (known, np.full(N, True))]
        for role in ("base", "tuned")
    }
    assert found["base"]["value"] == pytest.approx(areas["base"][0])
    assert found["tuned"]["value"] == pytest.approx(areas["tuned"][1])
    assert found["change"]["value"] == pytest.approx(areas["tuned"][0] - areas["base"][0])
    assert found["change"]["low"] < found["change"]["value"] < found["change"]["high"]


def test_a_statistic_that_is_no_number_is_not_given():
    flat = {
        "base": rank_columns(np.zeros(N), HALF["base"]),
        "tuned": rank_columns(HALF["base"], HALF["tuned"]),
    }
    found = figure("statistic", flat, statistic=correlation)
    assert found is not None
    assert found["base"] is None
    assert abs(found["tuned"]["value"]) <= 1


@pytest.mark.parametrize("kind", ["share", "bounded", "mean", "ratio", "roc"])
def test_fewer_than_two_problems_have_no_figure(kind):
    columns = np.full((N, 2), np.nan)
    columns[0] = 1.0
    assert figure(kind, {"base": columns}) is None
