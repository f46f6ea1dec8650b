"""Figure: what one vector recovers in the weaker checkpoint of several pairs, beside their verdicts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.core.terms import Role, Verdict
from undertext.report.style import BLUE, GREEN, GREY, VERMILLION, WIDE, house_style, literal, stacked

_AROUND, _ROW = 0.75, 0.42
"""Inches for the title and the axis, and for a pair."""
_NEAR = 0.06
"""Accuracies that are this near to each other have no room for an arrow between them."""


_HEADER = (
    (-0.06, "pair: the weaker", GREY),
    (0.0, "○ alone", BLUE),
    (0.22, "◆ with one vector", GREEN),
    (0.64, "□ the stronger", VERMILLION),
    (1.06, "verdict", GREY),
)
"""Where the names of columns and marks stand, on the axis of accuracy."""


class OpenedPair(NamedTuple):
    """The accuracies of a pair on one split."""

    name: str
    weaker: Role
    alone: float
    """Accuracy of the weaker checkpoint."""
    steered: float
    """Its accuracy under the best vector."""
    stronger: float
    """Accuracy of the stronger checkpoint."""
    verdict: Verdict


def opened_figure(pairs: Sequence[OpenedPair], split: str) -> Figure:
    """A row a pair, from the top: the weaker checkpoint alone, an arrow to it under a vector, and the
    stronger."""
    with house_style():
        figure, (panel,) = stacked([_AROUND + _ROW * len(pairs)], WIDE)
        for at, pair in enumerate(pairs):
            _draw(panel, at, pair)
        panel.set_yticks(range(len(pairs)), [literal(f"{pair.name}: {pair.weaker}") for pair in pairs])
        panel.set_ylim(len(pairs) - 0.5, -0.9)
        panel.set_xlim(-0.02, 1.02)
        panel.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        panel.set_xlabel(f"accuracy on {literal(split)}")
        panel.grid(axis="y", visible=False)
        for x, text, colour in _HEADER:
            side = "right" if x < 0 else "left"
            panel.text(x, -0.72, text, color=colour, ha=side, va="center", fontsize=9.5)
    return figure


def _draw(panel: Axes, at: int, pair: OpenedPair) -> None:
    look: dict[str, Any] = {"markeredgewidth": 1.8, "clip_on": False}
    if abs(pair.steered - pair.alone) > _NEAR:
        arrow: Any = {"arrowstyle": "-|>", "color": GREEN, "linewidth": 2.4, "shrinkA": 6, "shrinkB": 5}
        panel.annotate("", (pair.steered, at), (pair.alone, at), arrowprops=arrow)
    hollow, white = look | {"markerfacecolor": "none"}, look | {"markerfacecolor": "white"}
    panel.plot([pair.stronger], [at], "s", color=VERMILLION, markersize=12, zorder=3, **hollow)
    panel.plot([pair.alone], [at], "o", color=BLUE, markersize=9, zorder=3, **white)
    panel.plot([pair.steered], [at], "D", color=GREEN, markersize=6, zorder=4, **look)
    panel.text(1.06, at, literal(pair.verdict), va="center", fontweight="bold")
