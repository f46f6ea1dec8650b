"""Figure: accuracies with their intervals, a panel a split."""

from collections.abc import Sequence
from statistics import fmean
from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.report.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    Look,
    house_style,
    legend_below,
    literal,
    stacked,
)

Kind = Literal["base", "tuned", "steered", "controls"]
_LOOKS: dict[Kind, Look] = {
    "base": Look(BLUE, "o"),
    "tuned": Look(VERMILLION, "s"),
    "steered": Look(GREEN, "D"),
    "controls": Look(GREY, "o"),
}


class Mark(NamedTuple):
    """An accuracy with its interval, or several accuracies without one."""

    label: str
    kind: Kind
    values: Sequence[float]
    interval: tuple[float, float] | None = None


class Panel(NamedTuple):
    """The accuracies on one split."""

    split: str
    problems: int
    """Number of problems of the split."""
    marks: Sequence[Mark]
    chance: float | None = None
    """Accuracy of always giving the commonest answer, where that is a chance level."""


def accuracy_figure(panels: Sequence[Panel]) -> Figure:
    """One row a mark, from the top; a panel a split."""
    with house_style():
        heights = [0.5 + 0.27 * len(each.marks) for each in panels]
        heights[-1] += 0.3  # the axis's label
        figure, axes = stacked(heights)
        for axis, panel in zip(axes, panels, strict=True):
            _draw(axis, panel.marks)
            axis.set_title(f"{literal(panel.split)} ({panel.problems} problems)")
            if panel.chance is not None:
                axis.axvline(panel.chance, color=GREY, linestyle=":", label="always the commonest answer")
        axes[-1].set_xlabel("accuracy")
        legend_below(figure, axes)
    return figure


def _draw(panel: Axes, marks: Sequence[Mark]) -> None:
    """Each mark's interval as a line, and its value, or mean, at the right."""
    for at, (_, kind, values, interval) in enumerate(marks):
        look = _LOOKS[kind]
        if interval is not None:
            panel.plot(interval, [at, at], color=look.color, linewidth=2.4, solid_capstyle="butt")
        fill = look.color if interval is not None else "none"
        panel.plot(
            values, [at] * len(values), look.marker, color=look.color, markerfacecolor=fill, markersize=7
        )
        mean = f"{fmean(values):.2f}"
        panel.text(1.03, at, mean, transform=panel.get_yaxis_transform(), va="center_baseline")
    panel.set_yticks(range(len(marks)), [mark.label for mark in marks])
    panel.set_ylim(len(marks) - 0.5, -0.5)
    panel.set_xlim(-0.02, 1.02)
    panel.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    panel.grid(axis="y", visible=False)
