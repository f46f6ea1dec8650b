"""Figure: accuracy and shares of evidence over training, two panels a split."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.core.statistics import Estimate
from undertext.core.terms import LineName, Verdict
from undertext.report.numbers import brief, estimate, number
from undertext.report.style import (
    BLUE,
    GREEN,
    GREY,
    LOOKS,
    ORANGE,
    SKY,
    VERMILLION,
    WINE,
    Look,
    house_style,
    legend_below,
    literal,
    stacked,
)

_VERDICTS: dict[Verdict, Look] = {
    "elicited": Look(GREEN, "D"),
    "composed": Look(BLUE, "P"),
    "taught": Look(VERMILLION, "^"),
    "suppressed": Look(WINE, "v"),
    "overwritten": Look(ORANGE, "X"),
    "preserved": Look(SKY, "s"),
    "undetermined": Look(GREY, "o"),
}
MOST_SAID = 12
"""Checkpoints of a split of which each is said; of more, as many at the beginning and at the end."""
_WIDE = 50
"""From this ratio of the last step to the first on, steps are drawn on a logarithmic axis."""


class Moment(NamedTuple):
    """A checkpoint on a split."""

    at: int
    """Training step, or place in the order given."""
    verdict: Verdict
    base: Estimate
    tuned: Estimate
    shares: Mapping[LineName, Estimate]


def training_figure(splits: Mapping[str, Sequence[Moment]], names: Sequence[str] | None) -> Figure:
    """Accuracies, marked by the verdict, above the share of each line; `names` of the places, None for steps.

    A share's interval is drawn within the axis; a share that is not taken is left out.
    """
    lines = list(dict.fromkeys(name for moments in splits.values() for m in moments for name in m.shares))
    with house_style():
        figure, axes = stacked([2.2, 1.7] * len(splits))
        for i, (split, moments) in enumerate(splits.items()):
            ordered = sorted(moments, key=lambda moment: moment.at)
            _accuracy(axes[2 * i], ordered)
            axes[2 * i].set_title(literal(split))
            _shares(axes[2 * i + 1], ordered, lines)
        for panel in axes:
            _along(panel, sorted({m.at for moments in splits.values() for m in moments}), names)
        axes[-1].set_xlabel("training step" if names is None else "checkpoint")
        legend_below(figure, axes)
    return figure


def training_said(splits: Mapping[str, Sequence[Moment]], names: Sequence[str] | None) -> str:
    """What the same figure shows, in words: at every checkpoint the verdict and both accuracies, and where
    the share of each line begins and ends."""
    said = []
    for split, moments in splits.items():
        ordered = sorted(moments, key=lambda moment: moment.at)
        shown = [ordered[i] for i in _places(len(ordered))]
        parts = [
            f"{_place(m, names)} {m.verdict}, base {estimate(m.base)}, tuned {estimate(m.tuned)}"
            for m in shown
        ]
        if len(shown) < len(ordered):
            parts.append(f"{len(ordered) - len(shown)} more between them")
        for name in dict.fromkeys(name for m in ordered for name in m.shares):
            own = [m for m in ordered if name in m.shares and isfinite(m.shares[name].value)]
            if own:
                ends = " to ".join(
                    f"{number(m.shares[name].value)} at {_place(m, names)}" for m in [own[0], *own[1:][-1:]]
                )
                parts.append(f"share, {name}: {ends}")
        said.append(f"{split}: {'; '.join(parts)}.")
    return " ".join(said)


def _places(count: int) -> list[int]:
    """Which of so many moments are said: all, or the first and last few."""
    if count <= MOST_SAID:
        return list(range(count))
    return [*range(MOST_SAID // 2), *range(count - MOST_SAID // 2, count)]


def _place(moment: Moment, names: Sequence[str] | None) -> str:
    return f"step {moment.at:,}" if names is None else brief(names[moment.at])


def _accuracy(panel: Axes, moments: Sequence[Moment]) -> None:
    at = [moment.at for moment in moments]
    base = [moment.base for moment in moments]
    panel.plot(at, [each.value for each in base], color=BLUE, linestyle="--", marker=".", label="base")
    panel.fill_between(at, [each.low for each in base], [each.high for each in base], color=BLUE, alpha=0.15)
    panel.plot(at, [moment.tuned.value for moment in moments], color=GREY, linewidth=1, zorder=1)
    for verdict, look in _VERDICTS.items():
        own = [moment for moment in moments if moment.verdict == verdict]
        for moment in own:
            bounds = [moment.tuned.low, moment.tuned.high]
            panel.plot([moment.at] * 2, bounds, color=look.color, linewidth=1.6)
        if own:
            values = [moment.tuned.value for moment in own]
            marks: dict[str, Any] = {
                "color": look.color,
                "marker": look.marker,
                "linestyle": "",
                "markersize": 8,
            }
            panel.plot([moment.at for moment in own], values, label=f"tuned: {verdict}", **marks)
    panel.set_ylim(-0.05, 1.07)
    panel.set_ylabel("accuracy")


def _shares(panel: Axes, moments: Sequence[Moment], lines: Sequence[LineName]) -> None:
    for place, (look, name) in enumerate(zip(LOOKS, lines, strict=False)):
        own = [(m.at, m.shares[name]) for m in moments if name in m.shares and isfinite(m.shares[name].value)]
        values = [share.value for _, share in own]
        panel.plot([at for at, _ in own], values, label=f"share, {name}", **look.line(place, len(lines)))
        for at, share in own:
            panel.plot([at, at], [max(share.low, -9), min(share.high, 9)], color=look.color, linewidth=1)
    panel.axhline(0, color=GREY, linewidth=0.8)
    panel.axhline(1, color=GREY, linewidth=0.8)
    panel.set_ylim(-0.3, 1.5)
    panel.set_ylabel("share")


def _along(panel: Axes, places: Sequence[int], names: Sequence[str] | None) -> None:
    room = max(places[-1] - places[0], 1) / 20
    panel.set_xlim(places[0] - room, places[-1] + room)
    if names is not None:
        panel.set_xticks(range(len(names)), [literal(name, 18) for name in names], rotation=30, ha="right")
        return
    above = [at for at in places if at > 0]
    if above and above[-1] >= _WIDE * above[0]:
        panel.set_xscale("symlog", linthresh=above[0])
        panel.set_xlim(places[0] - above[0] / 5, places[-1] * 1.3)
