"""The heatmap: its cells are the table's figures."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from undertext.activations.errors import UserError
from undertext.jobs.probe.result import ProbeResult
from undertext.measures.decoding.table import PROBES, table_of
from undertext.report.style import png

LAYERS, POSITIONS = (0, 3, 5), ("0", "prompt_end", "-2")
IN_ORDER = ("prompt_end", "-2", "0")


def accuracy(checkpoint: str, fitted_on: str, value: str, layer: int, position: str) -> float:
    """A figure of its own for each cell."""
    n = sum(ord(c) * (i + 1) for i, c in enumerate(f"{checkpoint}{fitted_on}{value}{layer}{position}"))
    return n % 101 / 100


def rows(**fixed: Any) -> list[dict[str, Any]]:
    made = []
    for checkpoint in ("one", "two"):
        for fitted_on in ("one", "two"):
            for value in ("a", "b"):
                for layer in LAYERS:
                    for position in POSITIONS:
                        share = accuracy(checkpoint, fitted_on, value, layer, position)
                        own = checkpoint == fitted_on
                        made.append(
                            {
                                "checkpoint": checkpoint, "fitted_on": fitted_on, "task": "made",
                                "split": "test", "value": value, "classes": 3, "position": position,
                                "layer": layer, "hook": "", "probe": "logistic", "control": "none", "n": 9,
                                "accuracy": share, "selectivity": share - 0.6 if own else None,
                                "baseline": 0.3, "strength": 0.1, "chosen": False, "seed": 0,
                                "mdl": None, "erased": None, **fixed,
                            }
                        )  # fmt: skip
    return made


def shown(probes: list[dict[str, Any]]) -> ProbeResult:
    return ProbeResult({}, {"probes": table_of(probes, PROBES)}, {})


@pytest.fixture(scope="module")
def result() -> ProbeResult:
    """Among rows that belong in no cell: controls, another kind of probe, another split and task."""
    noise: list[dict[str, Any]] = [
        {"control": "control"},
        {"control": "surface", "layer": None},
        {"probe": "lda"},
    ]
    noise += [{"split": "ood"}, {"task": "other"}]
    others = [row for each in noise for row in rows(**each, accuracy=0.99)]
    return shown([*rows(), *others])


def cells(figure: Figure) -> dict[str, Any]:
    return {axis.get_title("left"): axis.images[0].get_array() for axis in figure.axes if axis.images}


def expected(checkpoint: str, fitted_on: str, values: tuple[str, ...], less: float = 0.0) -> np.ndarray:
    """[layer, position], the first layer lowest."""
    return np.array(
        [
            [np.mean([accuracy(checkpoint, fitted_on, v, layer, p) for v in values]) - less for p in IN_ORDER]
            for layer in LAYERS
        ]
    )


@pytest.mark.parametrize("value", [None, "b"])
def test_every_panel_shows_its_figures(result, value):
    values = ("a", "b") if value is None else (value,)
    found = cells(result.heatmap(value=value))
    assert list(found) == ["one", "two", "two's probes on one", "selectivity, one"]
    np.testing.assert_allclose(found["one"], expected("one", "one", values))
    np.testing.assert_allclose(found["two"], expected("two", "two", values))
    np.testing.assert_allclose(found["two's probes on one"], expected("one", "two", values))
    np.testing.assert_allclose(found["selectivity, one"], expected("one", "one", values, less=0.6))


def test_the_two_can_be_exchanged_and_axes_are_named(result):
    figure = result.heatmap(base="two", tuned="one", value="a")
    found = cells(figure)
    np.testing.assert_allclose(found["one's probes on two"], expected("two", "one", ("a",)))
    lower = figure.axes[2]
    assert [label.get_text() for label in lower.get_xticklabels()] == ["prompt\nend", "−2", "0"]
    assert [label.get_text() for label in lower.get_yticklabels()] == ["0", "3", "5"]
    assert lower.images[0].origin == "lower"
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == [f"{cell:.2f}" for cell in expected("two", "two", ("a",)).flat]
    assert figure.get_suptitle() == "made, test: a (logistic)"


def test_one_checkpoint_and_what_was_not_measured():
    kept = [r for r in rows() if r["checkpoint"] == r["fitted_on"] == "one" and r["value"] == "a"]
    kept = [r for r in kept if (r["layer"], r["position"]) != (3, "0")]
    for row in kept:
        row["selectivity"] = -0.001
    figure = shown(kept).heatmap()
    found = cells(figure)
    assert list(found) == ["one", "selectivity, one"]
    assert [int(np.ma.count_masked(np.ma.masked_invalid(each))) for each in found.values()] == [1, 1]
    assert [text.get_text() for text in figure.axes[1].texts] == ["0.00"] * 8
    assert png(figure) == png(figure)


def test_many_cells_are_colours_alone():
    many = [row | {"layer": layer} for row in rows() if row["layer"] == 0 for layer in range(40)]
    figure = shown(many).heatmap()
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_yticks()) <= 12
    assert cells(figure)["one"].shape == (40, 3)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"task": "none"}, "no task 'none' in the table; there are: made, other"),
        ({"base": "three"}, "no checkpoint 'three' in the table; there are: one, two"),
        ({"tuned": "three"}, "no checkpoint 'three'"),
        ({"split": "odd"}, "no split 'odd' in the table; there are: test, ood"),
        ({"value": "c"}, "no value 'c' in the table; there are: a, b"),
        ({"probe": "means"}, "no probe 'means' in the table; there are: logistic, lda"),
    ],
)
def test_what_is_not_there_is_named(result, wanted, said):
    with pytest.raises(UserError, match=said):
        result.heatmap(**wanted)
