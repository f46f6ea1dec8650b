"""Figure: a mean along traces, a panel a split, a line a checkpoint."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from undertext.core.statistics import Estimate
from undertext.core.terms import Role
from undertext.report.style import (
    BLUE,
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

_LOOKS: dict[Role, Look] = {"base": Look(BLUE, "o"), "tuned": Look(VERMILLION, "s", "--")}
_HEIGHT = 1.9
Line = Sequence[tuple[float, Estimate]]
"""The share of a trace's steps, and the mean over traces there."""


def curves_figure(
    splits: Mapping[str, Mapping[Role, Line]], what: str, limits: tuple[float, float] | None = None
) -> Figure | None:
    """Means against the share of the steps, with their intervals as bands; None without any.

    `what` stands along the y axis. `limits` are those of a figure that cannot leave them; without them a line
    marks nothing.
    """
    if not splits:
        return None
    with house_style():
        figure, axes = stacked([_HEIGHT] * len(splits), WIDE)
        for panel, (split, roles) in zip(axes, splits.items(), strict=True):
            names = []
            for place, (role, line) in enumerate(roles.items()):
                look = _LOOKS[role]
                shares, means = [share for share, _ in line], [each for _, each in line]
                panel.fill_between(
                    shares,
                    [each.low for each in means],
                    [each.high for each in means],
                    color=look.color,
                    alpha=0.15,
                    linewidth=0,
                )
                drawn = look.line(place, len(roles)) | {"markersize": 4.5}
                panel.plot(shares, [each.value for each in means], **drawn)
                names.append(End(means[-1].value, f"{role}: {means[-1].n} traces", look.color))
            if limits is None:
                panel.axhline(0, color=GREY, linewidth=0.8)
            else:
                panel.set_ylim(*limits)
            panel.set_title(literal(split))
            panel.set_xlim(-0.02, 1.02)
            panel.set_xticks([0, 0.25, 0.5, 0.75, 1])
            panel.set_ylabel(what)
            label_ends(panel, names, _HEIGHT)
        axes[-1].set_xlabel("share of the trace's steps")
    return figure
