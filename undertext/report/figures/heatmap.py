"""Figure: how well values read, layer by position: base, tuned, transported, selectivity."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from undertext.activations.errors import UserError
from undertext.report.style import BAND, GREY, ReportFigure, house_style, literal

WIDTH = 6.4
"""Inches: two panels abreast."""
MOST_WRITTEN = 64
"""A panel with more cells than this has colours alone, no numbers."""
SHORT, MOST_LETTERS = 6, 26
"""Letters of a position, and of all beside one another: with more of both, positions are turned."""
PROMPT_END = "prompt_end"
"""The position that is the prompt's last token."""
_MINUS = "−"
Row = Mapping[str, Any]
"""A row of a table, by column."""


class Panel(NamedTuple):
    """One of a figure's heatmaps."""

    title: str
    cells: Float[ndarray, "layer position"]
    signed: bool
    """Whether values below zero mean something: selectivity, not accuracy."""


def heatmap_figure(
    probes: Sequence[Row],
    transfer: Sequence[Row] | None = None,
    *,
    task: str | None = None,
    base: str | None = None,
    tuned: str | None = None,
    split: str = "test",
    value: str | None = None,
    probe: str | None = None,
) -> Figure:
    """The panels of `ProbeResult.heatmap`, which says what is drawn by default, from the rows of its table
    `probes`; with those of its table `transfer`, the aligned panel too."""
    rows = [row for row in probes if row["layer"] is not None]
    task = _one(rows, "task", task)
    rows = [row for row in rows if row["task"] == task and row["control"] == "none"]
    base = _one(rows, "checkpoint", base)
    others = [name for name in _distinct(rows, "checkpoint") if name != base]
    if tuned is not None or others:
        tuned = _one(rows, "checkpoint", others[0] if tuned is None else tuned)
    probe, split = _one(rows, "probe", probe), _one(rows, "split", split)
    rows = [row for row in rows if row["probe"] == probe and row["split"] == split]
    if value is not None:
        value = _one(rows, "value", value)
        rows = [row for row in rows if row["value"] == value]
    layers = sorted({row["layer"] for row in rows})
    positions = sorted(_distinct(rows, "position"), key=_place)

    def cells(checkpoint: str, fitted_on: str, column: str) -> Float[ndarray, "layer position"]:
        own = [row for row in rows if (row["checkpoint"], row["fitted_on"]) == (checkpoint, fitted_on)]
        return _cells(own, layers, positions, column)

    panels = [Panel(base, cells(base, base, "accuracy"), False)]
    if tuned is not None:
        panels.append(Panel(tuned, cells(tuned, tuned, "accuracy"), False))
        panels.append(Panel(f"{tuned}'s probes on {base}", cells(base, tuned, "accuracy"), False))
        if transfer is not None:
            moved = _aligned(transfer, base, tuned, {"task": task, "probe": probe, "split": split})
            moved = [row for row in moved if value is None or row["value"] == value]
            panel = _cells(moved, layers, positions, "figure")
            panels.append(Panel("the same, aligned", panel, False))
    elif transfer is not None:
        raise UserError(f"probes are aligned between two checkpoints; there is one in the table: {base}")
    panels.append(Panel(f"selectivity, {base}", cells(base, base, "selectivity"), True))
    names = _distinct(rows, "value")
    read = names[0] if len(names) == 1 else "mean of the values read there"
    with house_style():
        return drawn(panels, layers, positions, f"{task}, {split}: {read} ({probe})")


def drawn(
    panels: Sequence[Panel],
    layers: Sequence[int],
    positions: Sequence[str],
    title: str,
    along: str = "tokens after the last one before the value is said",
    *,
    width: float = WIDTH,
    size: float = 8.0,
    most: int = MOST_WRITTEN,
) -> Figure:
    """Panels two abreast, on the same axes; `along` says what positions are.

    Cells have numbers, of so many points, where a panel has at most `most` of them.
    """
    down = -(-len(panels) // 2)
    height = 0.9 + down * (0.9 + 0.26 * min(len(layers), 16))
    figure = ReportFigure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(down, 2, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    shown = axes.flat[: len(panels)]
    for panel, axis in zip(panels, shown, strict=True):
        _draw(axis, panel, size, most)
        names = [_named(position) for position in positions]
        axis.set_xticks(range(len(positions)), names)
        longest = max((len(line) for name in names for line in name.split("\n")), default=0)
        if longest * len(names) > MOST_LETTERS and longest > SHORT:
            axis.tick_params(axis="x", rotation=40)
        axis.set_yticks(*_ticks(layers))
        axis.label_outer()
    if len(panels) % 2 and len(panels) > 1:
        axes[-2, 1].tick_params(labelbottom=True)  # below it is nothing
    for signed, label, beside in ((False, "accuracy", axes[0]), (True, "selectivity", axes[-1])):
        some = [axis for panel, axis in zip(panels, shown, strict=True) if panel.signed == signed]
        if some:
            figure.colorbar(some[0].images[0], ax=list(beside), label=label, fraction=0.06, aspect=12)
    figure.suptitle(literal(title, 70))
    figure.supxlabel(along, fontsize=10)
    figure.supylabel("layer", fontsize=10)
    return figure


def _draw(axis: Axes, panel: Panel, size: float, most: int) -> None:
    look: Any = {"cmap": "RdBu", "vmin": -1, "vmax": 1} if panel.signed else {"cmap": "cividis", "vmin": 0}
    axis.imshow(panel.cells, aspect="auto", origin="lower", **{"vmax": 1, **look})
    # Shows where there is no figure: a band of colour alone could be taken for a value.
    axis.set_facecolor(BAND)
    axis.patch.set(hatch="////", edgecolor=GREY, linewidth=0)
    axis.set_title(literal(panel.title))
    axis.grid(visible=False)
    if panel.cells.size > most:
        return
    for (i, j), cell in np.ndenumerate(panel.cells):
        if np.isnan(cell):
            continue
        dark = abs(cell) > 0.6 if panel.signed else cell < 0.55
        text = f"{round(float(cell), 2) + 0.0:.2f}".replace("-", _MINUS)  # no minus before zero
        axis.text(j, i, text, ha="center", va="center", color="white" if dark else "black", fontsize=size)


def _aligned(transfer: Sequence[Row], base: str, tuned: str, wanted: dict[str, str]) -> list[Any]:
    ends = {"across": "checkpoint", "measure": "aligned", "fitted": tuned, "read": base}
    rows = [row for row in transfer if all(row[k] == v for k, v in (ends | wanted).items())]
    if not rows:
        raise UserError(
            f"no probes of {tuned} aligned to {base} in the table: that takes `transfer: [checkpoint]` in "
            "the config, and the pair among those of `transport`"
        )
    return rows


def _cells(
    rows: Sequence[Any], layers: Sequence[int], positions: Sequence[str], column: str
) -> Float[ndarray, "layer position"]:
    """The mean over values of each cell; NaN where there is none."""
    out = np.full((len(layers), len(positions)), np.nan)
    found: dict[tuple[int, str], list[float]] = {}
    for row in rows:
        if row[column] is not None:
            found.setdefault((row["layer"], row["position"]), []).append(row[column])
    for (layer, position), values in found.items():
        out[layers.index(layer), positions.index(position)] = fmean(values)
    return out


def _one(rows: Sequence[Any], column: str, wanted: str | None) -> str:
    names = _distinct(rows, column)
    if wanted is None and names:
        return names[0]
    if wanted not in names:
        raise UserError(f"no {column} {wanted!r} in the table; there are: {', '.join(names)}")
    return wanted


def _distinct(rows: Sequence[Any], column: str) -> list[str]:
    return list(dict.fromkeys(row[column] for row in rows))


def _place(position: str) -> tuple[bool, int]:
    return (False, 0) if position == PROMPT_END else (True, int(position))


def _named(position: str) -> str:
    return "prompt\nend" if position == PROMPT_END else position.replace("-", _MINUS)


def _ticks(layers: Sequence[int], most: int = 12) -> tuple[list[int], list[str]]:
    step = -(-len(layers) // most)
    at = list(range(0, len(layers), step))
    return at, [str(layers[i]) for i in at]
