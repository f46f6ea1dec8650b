"""Accuracy under keys, by hand."""

import numpy as np
import pytest

from undertext.core.statistics import proportion
from undertext.jobs.compare.key_rows import key_rows
from undertext.jobs.compare.raw_line import RawLine

RIGHT, NULL = np.array([1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.25, 0.25, 0.5])


def line(unaided: bool, clusters: np.ndarray | None = None) -> RawLine:
    before = np.array([1.0, 0.0, 0.0, 0.0]) if unaided else None
    return RawLine(
        "prompted" if unaided else "behaviour", np.arange(4), RIGHT, np.ones(4), NULL, "none", "",
        unaided=before, clusters=clusters,
    )  # fmt: skip


def test_a_row_has_the_accuracy_under_the_key_and_its_null():
    (row,) = key_rows("test", [line(False), line(True)], seed=0, level=0.95)
    assert (row["split"], row["line"], row["n"]) == ("test", "prompted", 4)
    wanted = proportion(RIGHT)
    assert (row["accuracy"], row["low"], row["high"]) == pytest.approx((0.75, wanted.low, wanted.high))
    assert row["null"] == pytest.approx(0.5)
    assert 0.25 <= row["null_low"] < 0.5 < row["null_high"] <= 1.0  # no resample is beyond the least and most


def test_problems_of_one_group_count_as_one():
    (alone,), (grouped,) = (
        key_rows("test", [line(True, clusters)], seed=0, level=0.95)
        for clusters in (None, np.array([0, 0, 1, 1]))
    )
    assert grouped["accuracy"] == pytest.approx(alone["accuracy"])
    assert grouped["high"] - grouped["low"] > alone["high"] - alone["low"]


def test_what_is_no_accuracy_over_the_split_has_no_row():
    assert key_rows("test", [line(False)], seed=0, level=0.95) == []
