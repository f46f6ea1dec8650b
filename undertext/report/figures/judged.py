"""Figures: how verdicts fell on known truths, and how far a confidence is the share that is right."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from undertext.core.terms import Verdict
from undertext.report.style import (
    GREY,
    LOOKS,
    WIDTH,
    ReportFigure,
    house_style,
    legend_below,
    literal,
    stacked,
)


class Mark(NamedTuple):
    """Verdicts of about one confidence."""

    confidence: float
    right: float
    """Share that is right, and its interval."""
    low: float
    high: float
    n: int


def confusion_figure(counts: Mapping[Verdict, Mapping[Verdict, int]], title: str) -> Figure:
    """Number of cases by truth (down) and verdict (across); the colour is the share of the truth's cases."""
    truths = list(counts)
    verdicts = list(dict.fromkeys(verdict for row in counts.values() for verdict in row))
    cells = np.array([[counts[truth].get(verdict, 0) for verdict in verdicts] for truth in truths], float)
    shares = cells / np.maximum(cells.sum(1, keepdims=True), 1)
    with house_style():
        figure = ReportFigure(figsize=(WIDTH, 1.5 + 0.34 * len(truths)), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(shares, aspect="auto", cmap="cividis", vmin=0, vmax=1)
        for (i, j), cell in np.ndenumerate(cells):
            color = "white" if shares[i, j] < 0.55 else "black"
            axis.text(j, i, f"{cell:.0f}", ha="center", va="center", color=color)
        for i, verdict in enumerate(verdicts):  # where truth and verdict agree
            if verdict in truths:
                corner = (i - 0.47, truths.index(verdict) - 0.46)
                axis.add_patch(Rectangle(corner, 0.94, 0.92, fill=False, edgecolor="white", linewidth=2))
        axis.set_xticks(range(len(verdicts)), [literal(each) for each in verdicts], rotation=35, ha="right")
        axis.set_yticks(range(len(truths)), [literal(each) for each in truths])
        axis.set_xlabel("verdict")
        axis.set_ylabel("truth")
        axis.set_title(literal(title, 60))
        axis.grid(visible=False)
        figure.colorbar(image, ax=axis, label="share of the truth's cases", aspect=14)
    return figure


def reliability_figure(series: Mapping[str, Sequence[Mark]]) -> Figure:
    """Share of verdicts that is right over their confidence, with intervals; marks grow with the verdicts."""
    most = max(mark.n for marks in series.values() for mark in marks)
    with house_style():
        figure, (axis,) = stacked([3.4])
        axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as right as it says")
        for look, (name, marks) in zip(LOOKS, series.items(), strict=False):
            at, right = [mark.confidence for mark in marks], [mark.right for mark in marks]
            for mark in marks:
                axis.plot([mark.confidence] * 2, [mark.low, mark.high], color=look.color, linewidth=1.2)
            sizes = [20 + 80 * mark.n / most for mark in marks]
            drawn: Any = {"color": look.color, "marker": look.marker, "alpha": 0.85, "zorder": 3}
            axis.scatter(at, right, sizes, label=literal(name, 50), **drawn)
        axis.set_xlim(-0.02, 1.04)
        axis.set_ylim(-0.04, 1.04)
        axis.set_xlabel("confidence (mean of the bin)")
        axis.set_ylabel("share of verdicts that is right")
        legend_below(figure, [axis])
    return figure
