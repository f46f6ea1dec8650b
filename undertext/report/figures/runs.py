"""Figure: the figures of several runs side by side, a panel a job and kind of row."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from matplotlib.figure import Figure

from undertext.core.statistics import Estimate
from undertext.report.numbers import brief, estimate, small
from undertext.report.style import LOOKS, house_style, legend_below, literal, stacked

MOST_PANELS, MOST_RUNS = 12, 40
MOST_SAID = 6
"""Runs of which each is said; of more, the lowest and the highest."""
_WIDTH = 30
"""Characters of a run's name that are drawn."""


class RunsPanel(NamedTuple):
    """Some figures of each of some runs."""

    title: str
    runs: Sequence[str]
    series: Mapping[str, Sequence[Estimate | float | None]]
    """Figures by name, a value a run; None where it was not measured."""


def runs_figure(panels: Sequence[RunsPanel]) -> Figure:
    """A row a run from the top, with its figures beside one another, and an interval where there is one.

    At most `MOST_PANELS` panels of `MOST_RUNS` runs are drawn.
    """
    panels = panels[:MOST_PANELS]
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    with house_style():
        figure, axes = stacked([0.55 + 0.3 * len(panel.runs[:MOST_RUNS]) for panel in panels])
        for axis, panel in zip(axes, panels, strict=True):
            runs = panel.runs[:MOST_RUNS]
            for place, (name, values) in enumerate(panel.series.items()):
                look = LOOKS[names.index(name) % len(LOOKS)]
                shift = 0.5 * ((place + 0.5) / len(panel.series) - 0.5)
                drawn = [
                    (at + shift, value) for at, value in enumerate(values[:MOST_RUNS]) if is_number(value)
                ]
                for at, value in drawn:
                    if isinstance(value, Estimate) and isfinite(value.low) and isfinite(value.high):
                        axis.plot([value.low, value.high], [at, at], color=look.color, linewidth=1.8)
                axis.plot(
                    [_value(value) for _, value in drawn], [at for at, _ in drawn],
                    color=look.color, marker=look.marker, linestyle="", markersize=6, label=literal(name),
                )  # fmt: skip
            axis.set_yticks(range(len(runs)), _labels(runs))
            axis.set_ylim(len(runs) - 0.5, -0.5)
            axis.set_title(literal(panel.title, 60))
            axis.grid(axis="y", visible=False)
        legend_below(figure, axes)
    return figure


def runs_said(panels: Sequence[RunsPanel]) -> str:
    """What the same figure shows, in words: the figures of every run, or where there are many the lowest and
    the highest of each kind."""
    said = ((brief(panel.title, 60), "; ".join(_of_panel(panel))) for panel in panels[:MOST_PANELS])
    return " ".join(f"{title}: {figures}." for title, figures in said)


def _of_panel(panel: RunsPanel) -> list[str]:
    runs = panel.runs[:MOST_RUNS]
    said = []
    for name, values in panel.series.items():
        own = [(brief(run), value) for run, value in zip(runs, values, strict=False) if is_number(value)]
        if len(own) > MOST_SAID:
            ordered = sorted(own, key=lambda each: _value(each[1]))
            ends = (("lowest", *ordered[0]), ("highest", *ordered[-1]))
            own = [(f"{which} {run}", value) for which, run, value in ends]
        if own:
            said.append(f"{brief(name)}: {', '.join(f'{run} {_said(value)}' for run, value in own)}")
    return said


def _said(found: Estimate | float | None) -> str:
    return estimate(found) if isinstance(found, Estimate) else small(found)


def _value(found: Estimate | float | None) -> float:
    if found is None:
        return float("nan")
    return found.value if isinstance(found, Estimate) else float(found)


def is_number(found: Estimate | float | None) -> bool:
    """Whether there is a point to draw."""
    return isfinite(_value(found))


def _labels(runs: Sequence[str]) -> list[str]:
    """Names of runs as they are drawn: numbered where two would be drawn alike."""
    short = [literal(name, _WIDTH) for name in runs]
    if len(set(short)) == len(short):
        return short
    return [f"{i + 1}: {literal(name, _WIDTH - 4)}" for i, name in enumerate(runs)]
