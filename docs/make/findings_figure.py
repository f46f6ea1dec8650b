"""Figure: the deciding figure of each finding, a panel each."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from undertext.core.statistics import Estimate
from undertext.report.style import BLUE, GREY, house_style, literal, stacked


class Drawn(NamedTuple):
    """What one panel shows."""

    title: str
    seeds: Sequence[float]
    """The difference of each seed."""
    over: Estimate | None
    """The difference over seeds, with its interval."""


def findings_figure(panels: Sequence[Drawn]) -> Figure:
    """A panel a finding, each on its own scale, with the line of no difference."""
    with house_style():
        figure, axes = stacked([0.75] * len(panels))
        for axis, panel in zip(axes, panels, strict=True):
            axis.set_title(literal(panel.title), fontsize=8)
            axis.axvline(0.0, color=GREY, linestyle=":")
            axis.plot(panel.seeds, [0.0] * len(panel.seeds), "o", color=GREY, markersize=4)
            if panel.over is not None:
                axis.plot([panel.over.low, panel.over.high], [1.0, 1.0], color=BLUE, linewidth=3)
                axis.plot([panel.over.value], [1.0], "D", color=BLUE)
            axis.set_yticks([0.0, 1.0], ["seeds", "all"])
            axis.set_ylim(-0.6, 1.6)
        return figure
