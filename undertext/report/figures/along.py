"""Figure: confidence along a trace, a panel a kind of traces and reading, a line a checkpoint and answer."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from undertext.report.style import (
    BLUE,
    ORANGE,
    SKY,
    VERMILLION,
    WIDE,
    End,
    Look,
    house_style,
    label_ends,
    literal,
    stacked,
)

Curves = Mapping[tuple[str, str], Sequence[Sequence[float]]]
"""By checkpoint and answer, the probabilities after 0, 1, ... T steps of each trace."""
RIGHT, GIVEN, BOTH = "right answer", "given answer", "both answers"
"""What a line is of: the right answer, the one finally given, and the two where they are one line."""
_LOOKS = {
    ("base", RIGHT): Look(BLUE, "o"),
    ("base", GIVEN): Look(SKY, "v", ":"),
    ("tuned", RIGHT): Look(VERMILLION, "s", "--"),
    ("tuned", GIVEN): Look(ORANGE, "P", "-."),
    ("base", BOTH): Look(BLUE, "o"),
    ("tuned", BOTH): Look(VERMILLION, "s", "--"),
}
_PLACES = 11
"""Shares of a trace's steps at which a line is drawn."""
_HEIGHT = 2.0


def along_figure(panels: Mapping[str, Curves]) -> Figure:
    """The mean probability over traces against the share of their steps, with its standard error as a band.

    Traces of unlike lengths are put on one axis with straight lines between their steps.
    """
    grid = np.linspace(0.0, 1.0, _PLACES)
    with house_style():
        figure, axes = stacked([_HEIGHT] * len(panels), WIDE)
        for axis, (title, curves) in zip(axes, panels.items(), strict=True):
            ends = []
            for place, ((checkpoint, answer), traces) in enumerate(curves.items()):
                look = _LOOKS[checkpoint, answer]
                rows = np.array([np.interp(grid, np.linspace(0.0, 1.0, len(p)), p) for p in traces])
                mean, error = rows.mean(0), rows.std(0) / np.sqrt(len(rows))
                axis.fill_between(grid, mean - error, mean + error, color=look.color, alpha=0.15, linewidth=0)
                axis.plot(grid, mean, **look.line(place, len(curves)) | {"markersize": 4.5})
                ends.append(End(float(mean[-1]), f"{checkpoint}: {answer}", look.color))
            axis.set_title(literal(title))
            axis.set_xlim(-0.02, 1.02)
            axis.set_ylim(-0.03, 1.03)
            axis.set_xticks([0, 0.25, 0.5, 0.75, 1])
            axis.set_ylabel("probability")
            label_ends(axis, ends, _HEIGHT)
        axes[-1].set_xlabel("share of the trace's steps")
    return figure
