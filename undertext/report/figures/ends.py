"""Figure: confidence in the answer that is given, at both ends of a trace."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from undertext.core.statistics import Estimate
from undertext.core.terms import Role
from undertext.report.style import (
    BLUE,
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
_HEIGHT = 1.8
Ends = Mapping[Role, Sequence[Estimate]]
"""By checkpoint, the mean probability before the first step and after the last."""


def ends_figure(splits: Mapping[str, Ends]) -> Figure | None:
    """A line a checkpoint from before the first step to after the last, with intervals; a panel a split.

    None without any.
    """
    if not splits:
        return None
    with house_style():
        figure, axes = stacked([_HEIGHT] * len(splits), WIDE)
        for panel, (split, roles) in zip(axes, splits.items(), strict=True):
            names = []
            for place, (role, ends) in enumerate(roles.items()):
                look = _LOOKS[role]
                shift = 0.02 * (place - 0.5)
                for x, each in enumerate(ends):
                    panel.plot([x + shift] * 2, [each.low, each.high], color=look.color, linewidth=1.4)
                panel.plot([shift, 1 + shift], [each.value for each in ends], **look.line(place, len(roles)))
                names.append(End(ends[-1].value, f"{role}: {ends[-1].n} traces", look.color))
            panel.set_title(literal(split))
            panel.set_xticks([0, 1], ["before the first step", "after the last"])
            panel.set_xlim(-0.15, 1.05)
            panel.set_ylim(-0.03, 1.03)
            panel.set_ylabel("probability")
            label_ends(panel, names, _HEIGHT)
    return figure
