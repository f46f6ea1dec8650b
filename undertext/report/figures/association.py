"""Figure: AUROC of the feature that predicts each value best, on two splits or in two checkpoints."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from undertext.report.numbers import brief, number
from undertext.report.style import (
    BLUE,
    GREY,
    VERMILLION,
    Look,
    house_style,
    legend_below,
    literal,
    stacked,
)

_LOOKS = (Look(BLUE, "o"), Look(VERMILLION, "s"))
MOST = 24
"""Classes drawn, at most."""


def association_figure(rows: Sequence[Mapping[str, Any]]) -> Figure | None:
    """A line for each class of each value: `value`, `class`, two figures by name in `auroc`, and a `fate` if
    any.

    None where the task has no values.
    """
    rows = rows[:MOST]
    if not rows:
        return None
    with house_style():
        figure, (panel,) = stacked([0.6 + 0.27 * len(rows)])
        series = list(rows[0]["auroc"])
        aurocs = [[_number(row["auroc"][name]) for row in rows] for name in series]
        for at, ends in enumerate(zip(*aurocs, strict=True)):
            panel.plot(ends, [at, at], color=GREY, linewidth=1)
        for name, look, values in zip(series, _LOOKS, aurocs, strict=True):
            panel.plot(values, range(len(rows)), look.marker, color=look.color, label=name)
        panel.axvline(0.5, color=GREY, linestyle=":", label="chance")
        panel.set_yticks(range(len(rows)), [literal(_name(row)) for row in rows])
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.set_xlim(min(0.4, *(value - 0.05 for value in aurocs[-1] if value == value)), 1.02)
        panel.set_xlabel("AUROC of the feature that predicts the value best")
        panel.grid(axis="y", visible=False)
        legend_below(figure, [panel])
    return figure


def association_said(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the same figure shows, in words: both figures of every class that is drawn."""
    said = []
    for row in rows[:MOST]:
        figures = ", ".join(f"{name} {number(auroc, 3)}" for name, auroc in row["auroc"].items())
        said.append(f"{brief(_name(row))}: {figures}.")
    return " ".join(said)


def _name(row: Mapping[str, Any]) -> str:
    named = f"{row['value']} = {row['class']}"
    return f"{named} ({row['fate']})" if "fate" in row else named


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
