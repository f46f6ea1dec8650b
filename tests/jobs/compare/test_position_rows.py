"""Readings by step: counted by hand, and adding up to the readings of the whole split."""

from typing import Any

import numpy as np
import pytest
import torch

from undertext.activations.hookpoint import HookPoint
from undertext.core.statistics import proportion
from undertext.jobs.compare.position_rows import position_rows
from undertext.measures.decoding.readings import Readings
from undertext.tasks.value_tokens import ValueTokens

POINTS = [HookPoint(layer, "resid_post") for layer in (1, 3)]


def readings() -> Readings:
    """Three problems: the first says `a` in steps 1 and 2, the second in step 2, the third in step 4."""
    sites = ValueTokens([[1]] * 3, torch.tensor([0, 0, 1, 2]), [0] * 4, ["a"] * 4, ["x"] * 4)
    out = Readings({"test": sites, "ood": sites}, {"a": ["x", "y"]}, {"test": [1, 2, 2, 4], "ood": [1] * 4})
    right = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)
    for split in ("test", "ood"):
        out.right["a", split] = {"weaker": right, "stronger": ~right, "control": right[[1, 0]]}
    out.chosen |= {("a", "weaker"): 1, ("a", "stronger"): 0}
    return out


def rows(**wanted: Any) -> list[dict[str, Any]]:
    made = position_rows(readings(), POINTS, "tuned", {"test": None}, 0.95)
    return [row for row in made if all(row[name] == value for name, value in wanted.items())]


def test_each_step_has_its_own_share_and_interval():
    own = rows(role="weaker", layer=1)
    assert [(row["step"], row["n"], row["accuracy"]) for row in own] == [
        (1, 1, 1.0),
        (2, 2, 0.5),
        (4, 1, 0.0),
    ]
    for row, right in zip(own, ([1], [1, 0], [0]), strict=True):
        wanted = proportion(np.array(right))
        assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high))
    assert [row["control"] for row in own] == pytest.approx([1.0, 1.0, 0.0])
    assert [row["accuracy"] for row in rows(role="stronger", layer=3)] == pytest.approx([0.0, 0.0, 1.0])


def test_rows_are_of_the_weaker_and_the_stronger_on_the_splits_that_are_judged():
    assert {row["split"] for row in rows()} == {"test"}
    assert {(row["role"], row["checkpoint"]) for row in rows()} == {("weaker", "tuned"), ("stronger", "base")}
    assert {(row["role"], row["layer"]) for row in rows(chosen=True)} == {("weaker", 3), ("stronger", 1)}


def test_problems_of_one_group_are_no_more_than_one_of_them():
    grouped = position_rows(readings(), POINTS, "tuned", {"test": np.array([0, 0, 1])}, 0.95)
    (one,) = (r for r in grouped if (r["step"], r["role"], r["layer"]) == (2, "weaker", 3))
    (alone,) = rows(step=2, role="weaker", layer=3)
    assert one["accuracy"] == pytest.approx(alone["accuracy"])
    assert one["high"] - one["low"] > alone["high"] - alone["low"]


def test_a_value_that_a_split_does_not_name_has_no_rows():
    made = readings()
    empty = ValueTokens([], torch.zeros(0, dtype=torch.long), [], [], [])
    made.sites["test"] = empty  # type: ignore[index]
    made.steps["test"] = []  # type: ignore[index]
    made.right["a", "test"] = {name: torch.zeros(2, 0, dtype=torch.bool) for name in ("weaker", "control")}
    assert position_rows(made, POINTS, "base", {"test": None}, 0.95) == []
