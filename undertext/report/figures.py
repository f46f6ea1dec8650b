"""The report's figures: accuracy, probes by layer, dose-response."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.comparison import Comparison
from undertext.report.doses import doses_figure
from undertext.report.probes import probes_figure
from undertext.report.rows import commonest_answer, headline, is_random, rows
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

_BASE, _TUNED, _STEERED = Look(BLUE, "o"), Look(VERMILLION, "s"), Look(GREEN, "D")


def figures(comparison: Comparison) -> dict[str, Figure]:
    """`accuracy`, then `probes` and `doses` where they were measured, in that order."""
    with house_style():
        drawn = {
            "accuracy": accuracy_figure(comparison),
            "probes": probes_figure(comparison),
            "doses": doses_figure(comparison),
        }
    return {name: figure for name, figure in drawn.items() if figure is not None}


class _Mark(NamedTuple):
    """One accuracy with its interval."""

    label: str
    look: Look
    value: float
    low: float
    high: float


def accuracy_figure(comparison: Comparison) -> Figure:
    """Accuracy of both checkpoints, and of the weaker one steered; a panel a split."""
    marks = {split: _marks(comparison, split) for split in comparison.splits}
    figure, axes = stacked([0.5 + 0.27 * len(found) for found in marks.values()], legend=0.75)
    for panel, (split, found) in zip(axes, marks.items(), strict=True):
        _draw(panel, found)
        panel.set_title(f"{literal(split)} ({comparison.splits[split].accuracy['base'].n} problems)")
        chance = commonest_answer(comparison, split)
        if chance is not None:
            panel.axvline(chance, color=GREY, linestyle=":", label="always the commonest answer")
        controls = [row["accuracy"] for row in rows(comparison, "recovery", split=split) if is_random(row)]
        if controls and len(found) == 3:
            at = [2.0] * len(controls)
            panel.plot(controls, at, "|", color=GREY, markersize=9, label="steered with random directions")
    axes[-1].set_xlabel("accuracy")
    legend_below(figure, axes)
    return figure


def _marks(comparison: Comparison, split: str) -> list[_Mark]:
    result = comparison.splits[split]
    base, tuned = result.accuracy["base"], result.accuracy["tuned"]
    marks = [
        _Mark("base", _BASE, base.value, base.low, base.high),
        _Mark("tuned", _TUNED, tuned.value, tuned.low, tuned.high),
    ]
    steered = headline(comparison, split)
    if steered is not None:
        label = "steered" if result.weaker == "neither" else f"{result.weaker}, steered"
        marks.append(_Mark(label, _STEERED, steered["accuracy"], steered["low"], steered["high"]))
    return marks


def _draw(panel: Axes, marks: list[_Mark]) -> None:
    """One row a mark, from the top, with its interval as a line and its value at the right."""
    for at, mark in enumerate(marks):
        color = mark.look.color
        panel.plot([mark.low, mark.high], [at, at], color=color, linewidth=2.4, solid_capstyle="butt")
        panel.plot([mark.value], [at], mark.look.marker, color=color, markersize=7)
        panel.text(1.03, at, f"{mark.value:.2f}", transform=panel.get_yaxis_transform(), va="center_baseline")
    panel.set_yticks(range(len(marks)), [mark.label for mark in marks])
    panel.set_ylim(len(marks) - 0.5, -0.5)
    panel.set_xlim(-0.02, 1.02)
    panel.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    panel.grid(axis="y", visible=False)
