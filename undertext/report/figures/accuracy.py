"""Figures: accuracy, and the recovered gap, under each kind of key, beside the bands of its controls."""

from collections.abc import Callable, Sequence
from math import isfinite
from statistics import fmean
from typing import Any, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from undertext.core.statistics import Estimate
from undertext.core.terms import ControlKind
from undertext.report.numbers import number
from undertext.report.style import (
    BLUE,
    CONTROL_LOOKS,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    WIDE,
    WINE,
    Look,
    house_style,
    literal,
    stacked,
)

Kind = Literal["base", "tuned", "sampling", "paraphrase", "prompt", "beginning", "noise", "vector"]
Control = ControlKind | Literal["other problems' answers"]
_LOOKS: dict[Kind, Look] = {
    "base": Look(BLUE, "o"),
    "tuned": Look(VERMILLION, "s"),
    "sampling": Look("#3A3F44", "X"),
    "paraphrase": Look("#3A3F44", "<"),
    "prompt": Look(WINE, "^"),
    "beginning": Look(ORANGE, "P"),
    "noise": Look(SKY, "v"),
    "vector": Look(GREEN, "D"),
}
_ROW, _AROUND, _AXIS = 0.25, 0.45, 0.35
"""Inches of a row, around the rows of a panel, and of the label below the last panel."""
_BAND = 0.56
"""Height of a band, as a share of its row."""
_LEAST, _MOST = (-1.0, -0.1), (1.1, 2.0)
"""Ends of the recovered gap's axis: at most and at least so far. What lies beyond is drawn at the end."""


class Mark(NamedTuple):
    """A figure with its interval."""

    kind: Kind
    value: Estimate


class Band(NamedTuple):
    """What the controls of one kind reach: from the lowest bound of their intervals to the highest."""

    control: Control
    values: Sequence[Estimate]


class Panel(NamedTuple):
    """The rows of one split, from the top. Bands stand below the mark whose controls they are."""

    title: str
    rows: Sequence[Mark | Band]
    chance: float | None = None
    """Accuracy of always giving the commonest answer, where that is a chance level."""


def accuracy_figure(panels: Sequence[Panel]) -> Figure:
    """Accuracies, a panel a split."""
    return _figure(panels, "accuracy", (-0.02, 1.02))


def recovery_figure(panels: Sequence[Panel]) -> Figure | None:
    """Recovered gaps, a panel a split: 0 is the weaker checkpoint, 1 the stronger, neither is an end.

    None without rows.
    """
    some = [panel for panel in panels if panel.rows]
    if not some:
        return None
    ends = [end for panel in some for row in panel.rows for end in _reach(row)]
    low, high = min([*ends, _LEAST[1]]), max([*ends, _MOST[0]])
    limits = max(low, _LEAST[0]) - 0.03, min(high, _MOST[1]) + 0.03
    return _figure(some, "recovered gap", limits, marked=(0.0, 1.0))


def panels_said(panels: Sequence[Panel]) -> str:
    """What either figure shows, in words: each figure with its interval, and each band."""
    said = []
    for panel in panels:
        parts: list[str] = []
        for row in panel.rows:
            if isinstance(row, Mark):
                interval = f"{number(row.value.low)} to {number(row.value.high)}"
                parts.append(f"{row.kind} {number(row.value.value)} ({interval})")
            else:
                low, high = _band(row)
                parts[-1] += f", {_named(row)} {number(low)} to {number(high)}"
        if panel.chance is not None:
            parts.append(f"always the commonest answer {number(panel.chance)}")
        said.append(f"{panel.title}: {'; '.join(parts)}.")
    return " ".join(said)


def _figure(
    panels: Sequence[Panel], label: str, limits: tuple[float, float], marked: Sequence[float] = ()
) -> Figure:
    with house_style():
        heights = [_AROUND + _ROW * (len(each.rows) + (each.chance is not None)) for each in panels]
        heights[-1] += _AXIS
        figure, axes = stacked(heights, WIDE)
        for axis, panel in zip(axes, panels, strict=True):
            _draw(axis, panel, limits)
            for at in marked:
                axis.axvline(at, color=GREY, linewidth=0.9)
        axes[-1].set_xlabel(label)
    return figure


def _draw(axis: Axes, panel: Panel, limits: tuple[float, float]) -> None:
    """Rows from the top: marks are named at the left, and bands where they end."""

    def inside(value: float) -> float:
        return min(max(value, limits[0]), limits[1])

    count = len(panel.rows) + (panel.chance is not None)
    axis.set_ylim(count - 0.4, -0.6)
    axis.set_xlim(*limits)
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(*limits)  # more would run into one another
    axis.set_xticks([tick for tick in ticks if limits[0] <= tick <= limits[1]])
    axis.set_title(literal(panel.title, 60))
    axis.grid(axis="y", visible=False)
    named = [(at, row.kind) for at, row in enumerate(panel.rows) if isinstance(row, Mark)]
    axis.set_yticks([at for at, _ in named], [kind for _, kind in named])
    for at, row in enumerate(panel.rows):
        if isinstance(row, Mark):
            look, value = _LOOKS[row.kind], row.value
            ends = [inside(value.low), inside(value.high)]
            axis.plot(ends, [at, at], color=look.color, linewidth=2.4, solid_capstyle="butt")
            axis.plot([inside(value.value)], [at], look.marker, color=look.color, markersize=7, clip_on=False)
            _end(axis, at, number(value.value), "black")
        else:
            _draw_band(axis, at, row, inside)
    if panel.chance is not None:
        at = count - 1
        axis.plot([panel.chance] * 2, [-0.6, at], color=GREY, linestyle=":", linewidth=1.5)
        _lead(axis, at, panel.chance)
        _end(axis, at, f"{number(panel.chance)} the commonest answer", GREY)


def _draw_band(axis: Axes, at: int, row: Band, inside: Callable[[float], float]) -> None:
    low, high = map(inside, _band(row))
    look: dict[str, Any] = CONTROL_LOOKS[row.control]
    axis.add_patch(Rectangle((low, at - _BAND / 2), high - low, _BAND, **look))
    values = [inside(each.value) for each in row.values]
    ring: Any = {"markersize": 5, "markerfacecolor": "white", "markeredgewidth": 0.9}
    axis.plot(values, [at] * len(values), "o", color=GREY, clip_on=False, **ring)
    _lead(axis, at, high)
    mean = fmean(each.value for each in row.values)
    _end(axis, at, f"{number(mean)} {_named(row)}", GREY)


def _lead(axis: Axes, at: int, start: float) -> None:
    """A thin line from where something ends to its name."""
    axis.plot([start, axis.get_xlim()[1]], [at, at], color=GREY, linestyle=":", linewidth=0.7)


def _end(axis: Axes, at: int, text: str, color: str) -> None:
    axis.text(
        1.03, at, text, color=color, transform=axis.get_yaxis_transform(), va="center_baseline", fontsize=10
    )


def _named(row: Band) -> str:
    """The kind of the controls, and of those that are several their number."""
    return row.control if len(row.values) == 1 else f"{row.control} ({len(row.values)})"


def _band(row: Band) -> tuple[float, float]:
    return min(each.low for each in row.values), max(each.high for each in row.values)


def _reach(row: Mark | Band) -> list[float]:
    """The finite ends of a row, which its axis should show."""
    ends = [row.value.low, row.value.high] if isinstance(row, Mark) else _band(row)
    return [end for end in ends if isfinite(end)]
