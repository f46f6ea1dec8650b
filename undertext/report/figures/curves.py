"""Figure: a mean along traces, a panel a split or a kind of traces, a line a checkpoint or their change."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from undertext.core.statistics import Estimate
from undertext.report.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    WIDE,
    End,
    Look,
    house_style,
    label_ends,
    literal,
    stacked,
)

_LOOKS = {
    "base": Look(BLUE, "o"), "tuned": Look(VERMILLION, "s", "--"), "change": Look(GREEN, "D", "-."),
}  # fmt: skip
_HEIGHT = 1.9
Line = Sequence[tuple[float, Estimate]]
"""The share of a trace's steps, and the mean over traces there; of a change, over problems."""


def curves_figure(
    panels: Mapping[str, Mapping[str, Line]], what: str, limits: tuple[float, float] | None = None
) -> Figure | None:
    """Means against the share of the steps, with their intervals as bands; None without any.

    `what` stands along the y axis. `limits` are those of a figure that cannot leave them; without them a line
    marks nothing.
    """
    if not panels:
        return None
    with house_style():
        figure, axes = stacked([_HEIGHT] * len(panels), WIDE)
        for panel, (title, lines) in zip(axes, panels.items(), strict=True):
            names = []
            for place, (name, line) in enumerate(lines.items()):
                look = _LOOKS[name]
                shares, means = [share for share, _ in line], [each for _, each in line]
                panel.fill_between(
                    shares,
                    [each.low for each in means],
                    [each.high for each in means],
                    color=look.color,
                    alpha=0.15,
                    linewidth=0,
                )
                drawn = look.line(place, len(lines)) | {"markersize": 4.5}
                panel.plot(shares, [each.value for each in means], **drawn)
                of = "problems" if name == "change" else "traces"
                names.append(End(means[-1].value, f"{name}: {means[-1].n} {of}", look.color))
            if limits is None:
                panel.axhline(0, color=GREY, linewidth=0.8)
            else:
                panel.set_ylim(*limits)
            panel.set_title(literal(title))
            panel.set_xlim(-0.02, 1.02)
            panel.set_xticks([0, 0.25, 0.5, 0.75, 1])
            panel.set_ylabel(what)
            label_ends(panel, names, _HEIGHT)
        axes[-1].set_xlabel("share of the trace's steps")
    return figure
