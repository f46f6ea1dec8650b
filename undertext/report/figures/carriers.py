"""Figure: how well the features that tell a value best in one checkpoint tell it in base and in tuned."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

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

_LOOKS = {"base": Look(BLUE, "o"), "tuned": Look(VERMILLION, "s")}
MOST = 24
"""Classes drawn, at most."""


def carriers_figure(summary: Mapping[str, Any]) -> Figure | None:
    """AUROC by class, base and tuned, of the `carriers` in diff.json; None where there are no values."""
    carriers = summary.get("carriers", [])[:MOST]
    if not carriers:
        return None
    with house_style():
        figure, (panel,) = stacked([0.6 + 0.27 * len(carriers)], legend=0.4)
        for at, each in enumerate(carriers):
            ends = [each["auroc"][model] for model in _LOOKS]
            panel.plot(ends, [at, at], color=GREY, linewidth=1)
        for model, look in _LOOKS.items():
            at_each = [each["auroc"][model] for each in carriers]
            panel.plot(at_each, range(len(carriers)), look.marker, color=look.color, label=model)
        panel.axvline(0.5, color=GREY, linestyle=":", label="tells nothing")
        named = [f"{each['value']} = {each['class']} ({each['fate']})" for each in carriers]
        panel.set_yticks(range(len(carriers)), [literal(name) for name in named])
        panel.set_ylim(len(carriers) - 0.5, -0.5)
        panel.set_xlim(min(0.4, *(each["auroc"]["tuned"] - 0.05 for each in carriers)), 1.02)
        panel.set_xlabel("AUROC of the feature that tells the value best")
        panel.grid(axis="y", visible=False)
        legend_below(figure, [panel])
    return figure
