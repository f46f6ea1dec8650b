"""Heatmaps of a comparison by step and by value: cells are means over readings."""

from typing import Any

import numpy as np
import pytest

from undertext.report.figures.read_at import (
    MOST,
    read_at_figure,
    read_at_said,
    read_at_table,
    steps_of,
    unmeasured_steps,
)

ROLES = {"weaker": "base", "stronger": "tuned", "transported": "transported"}


def row(step: int, layer: int, accuracy: float, role: str = "weaker", **more: Any) -> dict[str, Any]:
    return {
        "checkpoint": ROLES[role], "role": role, "name": "a", "step": step, "layer": layer, "n": 10,
        "accuracy": accuracy, "control": 0.25, "chosen": layer == 1, **more,
    }  # fmt: skip


def grids(figure: Any) -> dict[str, np.ndarray]:
    """The cells of each panel, by its title."""
    return {axis.get_title(loc="left"): axis.images[0].get_array() for axis in figure.axes if axis.images}


ROWS = [
    *(row(step, layer, (step + layer) / 10) for step in (2, 4) for layer in (0, 1)),
    row(2, 0, 0.8, name="b", n=30, control=0.5),
    *(row(step, layer, 0.5, "stronger") for step in (2, 4) for layer in (0, 1)),
    *(row(step, layer, step / 4, "transported") for step in (2, 4) for layer in (0, 1)),
]


def test_a_cell_is_the_mean_over_readings_and_steps_that_were_not_read_are_empty():
    figure = read_at_figure(ROWS, "test", "step")
    assert figure is not None
    found = grids(figure)
    assert list(found) == ["base", "tuned", "tuned's probes on base", "selectivity, base"]
    # 10 readings of `a` right in 0.2 and 30 of `b` right in 0.8: 26 of 40.
    np.testing.assert_allclose(found["base"], [[np.nan, 0.65, np.nan, 0.4], [np.nan, 0.3, np.nan, 0.5]])
    # 10 of -0.05 and 30 of 0.3.
    np.testing.assert_allclose(found["selectivity, base"][0], [np.nan, 0.2125, np.nan, 0.15])
    np.testing.assert_allclose(found["tuned's probes on base"][1], [np.nan, 0.5, np.nan, 1.0])
    last = figure.axes[2]
    assert [label.get_text() for label in last.get_xticklabels()] == ["1", "2", "3", "4"]
    assert all(axis.patch.get_hatch() for axis in figure.axes if axis.images)
    assert unmeasured_steps(ROWS) == [1, 3]


def test_columns_are_values_where_these_are_asked_for():
    figure = read_at_figure(ROWS, "test", "name")
    assert figure is not None
    np.testing.assert_allclose(grids(figure)["base"][0], [0.3, 0.8])
    assert "(layer 0, value b)" in read_at_said(ROWS, "test", "name")


def test_the_words_name_the_highest_cells_and_what_was_not_measured():
    said = read_at_said(ROWS, "test", "step")
    assert said.startswith("Highest on test: base 0.65 (layer 0, step 2); tuned 0.50 (layer 0, step 2); ")
    assert "tuned's probes on base 1.00 (layer 0, step 4)" in said
    assert said.endswith("Not measured: step 1, step 3.")


def test_the_table_has_each_step_at_the_layer_chosen_on_dev():
    assert read_at_table(ROWS) == [
        ["step 1", "0", "–", "–", "–", "–"],
        ["step 2", "10", "0.30 (layer 1)", "0.50 (layer 1)", "0.50 (layer 1)", "0.05 (layer 1)"],
        ["step 3", "0", "–", "–", "–", "–"],
        ["step 4", "10", "0.50 (layer 1)", "0.50 (layer 1)", "1.00 (layer 1)", "0.25 (layer 1)"],
    ]


def test_where_the_tuned_is_the_weaker_panels_keep_their_places():
    other = {"weaker": "tuned", "stronger": "base", "transported": "transported"}
    rows = [each | {"checkpoint": other[each["role"]]} for each in ROWS if each["role"] != "transported"]
    figure = read_at_figure(rows, "test", "step")
    assert figure is not None
    found = grids(figure)
    assert list(found) == ["base", "tuned", "selectivity, tuned"]  # in tokens that differ nothing is moved
    assert found["base"][0, 1] == pytest.approx(0.5)
    assert found["tuned"][0, 3] == pytest.approx(0.4)


def test_the_end_of_the_prompt_is_a_place_of_its_own():
    rows = [row(0, 0, 0.5), row(0, 1, 0.7)]
    assert steps_of(rows) == [0]
    assert "base 0.70 (layer 1, the prompt's end)" in read_at_said(rows, "test", "step")
    figure = read_at_figure(rows, "test", "step")
    assert figure is not None
    assert figure.axes[0].get_xlim() == pytest.approx((-0.5, 0.5))


def test_of_many_steps_the_first_have_columns_and_the_title_says_so():
    rows = [row(step, 0, 0.5) for step in range(1, 25)]
    figure = read_at_figure(rows, "test", "step")
    assert figure is not None
    assert grids(figure)["base"].shape == (1, MOST)
    assert figure.get_suptitle() == f"test: the first {MOST} of 24 steps"
    assert len(read_at_table([each | {"chosen": True} for each in rows])) == 24


def test_nothing_is_drawn_of_nothing():
    assert read_at_figure([], "test", "step") is None
    assert steps_of([]) == []
