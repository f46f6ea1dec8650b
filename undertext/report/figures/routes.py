"""Figures: what each route recovers of the gap, and how far the routes agree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.report.style import (
    BAND,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    WINE,
    Look,
    ReportFigure,
    literal,
)

WIDTH = 6.4
"""Inches: names of routes stand beside what they recover."""
_LOOKS = {
    "vector": ("steering", Look(GREEN, "D")),
    "feature": ("SAE feature", Look(WINE, "^")),
    "given direction": ("given direction", Look(ORANGE, "P")),
    "control": ("control under the same search", Look(GREY, "o")),
    "decoding": ("decoding", Look(BLUE, "o")),
    "prompt": ("prompt", Look(SKY, "v")),
    "training": ("training: a reference, no evidence", Look(VERMILLION, "s")),
}
Row = Mapping[str, Any]


def routes_figure(rows: Sequence[Row], unaided: Mapping[str, Sequence[float]]) -> Figure:
    """What each route recovers of the gap, with its interval; its accuracy where a split has no gap.

    `rows` are those of the table `routes`; `unaided` the accuracy of the weaker and of the stronger
    checkpoint, by split. A panel a split.
    """
    splits = _by_split(rows)
    heights = [0.7 + 0.27 * len(routes) for routes in splits.values()]
    figure = ReportFigure(figsize=(WIDTH, sum(heights) + 0.75), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    handles: dict[str, Any] = {}
    for axis, (split, routes) in zip(axes, splits.items(), strict=True):
        _draw(axis, routes, handles)
        low, high = unaided[split]
        axis.set_title(f"{literal(split)}: accuracy {low:.2f} to {high:.2f}")
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return figure


def agreement_figure(rows: Sequence[Row]) -> Figure:
    """Cohen's kappa of which problems two routes get right; empty where chance alone agrees on all.

    `rows` are those of the table `agreement`. A panel a split.
    """
    splits = _by_split(rows)
    names = {split: list(dict.fromkeys(row["route"] for row in pairs)) for split, pairs in splits.items()}
    counts = [len(routes) for routes in names.values()]
    figure = ReportFigure(figsize=(WIDTH, sum(0.9 + 0.27 * n for n in counts)), layout="constrained")
    axes = figure.subplots(len(counts), 1, squeeze=False, gridspec_kw={"height_ratios": counts})[:, 0]
    for axis, (split, pairs) in zip(axes, splits.items(), strict=True):
        routes = names[split]
        kappas = [np.nan if row["kappa"] is None else row["kappa"] for row in pairs]
        cells = np.array(kappas, float).reshape(len(routes), -1)
        axis.imshow(cells, aspect="auto", cmap="RdBu", vmin=-1, vmax=1)
        axis.set_facecolor(BAND)
        axis.grid(visible=False)
        axis.set_xticks(range(len(routes)), [str(i + 1) for i in range(len(routes))])
        labels = [f"{literal(name, 40)}  {i + 1}" for i, name in enumerate(routes)]
        axis.set_yticks(range(len(routes)), labels)
        axis.set_title(f"{literal(split)}: agreement (Cohen's kappa)")
        for (i, j), cell in np.ndenumerate(cells):
            if np.isfinite(cell):
                dark = "white" if abs(cell) > 0.6 else "black"
                axis.text(j, i, _written(cell), ha="center", va="center", fontsize=7, color=dark)
    return figure


def _by_split(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {
        split: [row for row in rows if row["split"] == split]
        for split in dict.fromkeys(row["split"] for row in rows)
    }


def _draw(axis: Axes, routes: Sequence[Row], handles: dict[str, Any]) -> None:
    shown = "recovered" if all(row["recovered"] is not None for row in routes) else "accuracy"
    for at, row in enumerate(routes):
        label, look = _LOOKS[row["kind"]]
        fill = "none" if row["training"] else look.color
        bounds = [row[f"{shown}_low"], row[f"{shown}_high"]]
        axis.plot(bounds, [at, at], color=look.color, linewidth=2.2, solid_capstyle="butt")
        (handles[label],) = axis.plot(
            row[shown], at, look.marker, color=look.color, markerfacecolor=fill, markersize=7
        )
        axis.text(1.02, at, _written(row[shown]), transform=axis.get_yaxis_transform(), va="center_baseline")
    axis.set_yticks(range(len(routes)), [literal(row["route"], 40) for row in routes])
    axis.set_ylim(len(routes) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    for end in (0, 1):
        axis.axvline(end, color=GREY, linewidth=1, zorder=0)
    gap = "recovered gap: 0 the weaker checkpoint, 1 the stronger"
    axis.set_xlabel(gap if shown == "recovered" else "accuracy")


def _written(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:.2f}".replace("-", "−")  # no minus before zero
