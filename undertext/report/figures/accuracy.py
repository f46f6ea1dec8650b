"""The report's figures: accuracy, probes by layer, dose-response."""

from statistics import fmean
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.rows import commonest_answer, headline, is_control, rows
from undertext.report.figures.doses import doses_figure
from undertext.report.figures.probes import probes_figure
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

_BASE, _TUNED, _STEERED, _RANDOM = Look(BLUE, "o"), Look(VERMILLION, "s"), Look(GREEN, "D"), Look(GREY, "o")


def figures(comparison: Comparison) -> dict[str, Figure]:
    """`accuracy`, then `probes` and `doses` where they were measured, in that order."""
    with house_style():
        drawn = {
            "accuracy": accuracy_figure(comparison),
            "probes": probes_figure(comparison),
            "doses": doses_figure(rows(comparison, "sweep")),
        }
    return {name: figure for name, figure in drawn.items() if figure is not None}


class _Mark(NamedTuple):
    """An accuracy with its interval, or several accuracies without one."""

    label: str
    look: Look
    values: list[float]
    interval: tuple[float, float] | None = None


def accuracy_figure(comparison: Comparison) -> Figure:
    """Accuracy of both checkpoints, and of the weaker one steered; a panel a split."""
    marks = {split: _marks(comparison, split) for split in comparison.splits}
    figure, axes = stacked([0.5 + 0.27 * len(found) for found in marks.values()], legend=0.5)
    for panel, (split, found) in zip(axes, marks.items(), strict=True):
        _draw(panel, found)
        panel.set_title(f"{literal(split)} ({comparison.splits[split].accuracy['base'].n} problems)")
        chance = commonest_answer(comparison, split)
        if chance is not None:
            panel.axvline(chance, color=GREY, linestyle=":", label="always the commonest answer")
    axes[-1].set_xlabel("accuracy")
    legend_below(figure, axes)
    return figure


def _marks(comparison: Comparison, split: str) -> list[_Mark]:
    result = comparison.splits[split]
    base, tuned = result.accuracy["base"], result.accuracy["tuned"]
    marks = [
        _Mark("base", _BASE, [base.value], (base.low, base.high)),
        _Mark("tuned", _TUNED, [tuned.value], (tuned.low, tuned.high)),
    ]
    steered = headline(comparison, split)
    if steered is not None:
        label = "steered" if result.weaker == "neither" else f"{result.weaker}, steered"
        marks.append(_Mark(label, _STEERED, [steered["accuracy"]], (steered["low"], steered["high"])))
    controls = [row["accuracy"] for row in rows(comparison, "recovery", split=split) if is_control(row)]
    if controls:
        marks.append(_Mark("controls", _RANDOM, controls))
    return marks


def _draw(panel: Axes, marks: list[_Mark]) -> None:
    """One row a mark, from the top, with its interval as a line and its value, or mean, at the right."""
    for at, (_, look, values, interval) in enumerate(marks):
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
