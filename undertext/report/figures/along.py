"""Figure: confidence along a trace, a panel a kind of traces, a line a checkpoint and answer."""

from collections.abc import Mapping, Sequence

import numpy as np
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

Curves = Mapping[str, Sequence[Sequence[float]]]
"""By the name of a line, the probabilities after 0, 1, ... T steps of each trace."""
_LOOKS = (Look(BLUE, "o"), Look(VERMILLION, "s", "--"), Look(GREEN, "D", "-."), Look(GREY, "^", ":"))
_PLACES = 11
"""Shares of a trace's steps at which a line is drawn."""


def along_figure(panels: Mapping[str, Curves]) -> Figure:
    """The mean probability over traces against the share of their steps, with its standard error as a band.

    Traces of unlike lengths are put on one axis with straight lines between their steps.
    """
    grid = np.linspace(0.0, 1.0, _PLACES)
    with house_style():
        figure, axes = stacked([2.2] * len(panels))
        for axis, (title, curves) in zip(axes, panels.items(), strict=True):
            for place, (look, (name, traces)) in enumerate(zip(_LOOKS, curves.items(), strict=False)):
                rows = np.array([np.interp(grid, np.linspace(0.0, 1.0, len(p)), p) for p in traces])
                mean, error = rows.mean(0), rows.std(0) / np.sqrt(len(rows))
                axis.fill_between(grid, mean - error, mean + error, color=look.color, alpha=0.15, linewidth=0)
                axis.plot(grid, mean, label=literal(name), **look.line(place, len(curves)))
            axis.set_title(literal(title))
            axis.set_ylim(-0.03, 1.03)
            axis.set_ylabel("probability")
        axes[-1].set_xlabel("share of the trace's steps")
        legend_below(figure, axes)
    return figure
