"""The files of a routes job: routes.json, run.json, figures and tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.core.output import RUN, json_bytes, parquet, publish
from undertext.jobs.routes.result import Route, Routes
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
    house_style,
    literal,
    png,
    svg,
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


def save(routes: Routes, out: Path) -> Path:
    """Write the files under `out` and return it; see `publish` for what happens to what is there."""
    drawn = figures(routes)
    files = {f"figures/{name}.svg": svg(figure) for name, figure in drawn.items()}
    files |= {f"figures/{name}.png": png(figure) for name, figure in drawn.items()}
    files |= {f"tables/{name}.parquet": parquet(table) for name, table in routes.tables.items()}
    files["routes.json"] = json_bytes(routes.to_dict())
    files[RUN] = json_bytes({**routes.run, "files": sorted([*files, RUN])})
    return publish(files, out)


def figures(routes: Routes) -> dict[str, Figure]:
    """`routes` and `agreement`, a panel a split."""
    with house_style():
        return {"routes": _recovered(routes), "agreement": _agreement(routes)}


def _recovered(routes: Routes) -> Figure:
    """What each route recovers of the gap, with its interval; its accuracy where there is no gap."""
    heights = [0.7 + 0.27 * len(found) for found in routes.splits.values()]
    figure = ReportFigure(figsize=(WIDTH, sum(heights) + 0.75), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    handles: dict[str, Any] = {}
    for axis, (split, found) in zip(axes, routes.splits.items(), strict=True):
        _draw(axis, found, handles)
        accuracy = routes.unaided[split]
        ends = f"{accuracy['weaker'].value:.2f} to {accuracy['stronger'].value:.2f}"
        axis.set_title(f"{literal(split)}: accuracy {ends}")
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return figure


def _draw(axis: Axes, found: Sequence[Route], handles: dict[str, Any]) -> None:
    gaps = all(route.gap is not None for route in found)
    for at, route in enumerate(found):
        label, look = _LOOKS[route.outcome.kind]
        shown = route.gap if gaps and route.gap is not None else route.accuracy
        fill = "none" if route.outcome.trained else look.color
        axis.plot([shown.low, shown.high], [at, at], color=look.color, linewidth=2.2, solid_capstyle="butt")
        (handles[label],) = axis.plot(
            shown.value, at, look.marker, color=look.color, markerfacecolor=fill, markersize=7
        )
        axis.text(1.02, at, _written(shown.value), transform=axis.get_yaxis_transform(), va="center_baseline")
    axis.set_yticks(range(len(found)), [literal(route.outcome.name, 40) for route in found])
    axis.set_ylim(len(found) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    for end in (0, 1):
        axis.axvline(end, color=GREY, linewidth=1, zorder=0)
    axis.set_xlabel("recovered gap: 0 the weaker checkpoint, 1 the stronger" if gaps else "accuracy")


def _written(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:.2f}".replace("-", "−")  # no minus before zero


def _agreement(routes: Routes) -> Figure:
    """Cohen's kappa of which problems two routes get right; empty where chance alone agrees on all."""
    counts = [len(found) for found in routes.splits.values()]
    figure = ReportFigure(figsize=(WIDTH, sum(0.9 + 0.27 * n for n in counts)), layout="constrained")
    axes = figure.subplots(len(counts), 1, squeeze=False, gridspec_kw={"height_ratios": counts})[:, 0]
    for axis, (split, found) in zip(axes, routes.splits.items(), strict=True):
        names = [route.outcome.name for route in found]
        cells = np.array([[routes.agreement[split][one, other] for other in names] for one in names])
        axis.imshow(cells, aspect="auto", cmap="RdBu", vmin=-1, vmax=1)
        axis.set_facecolor(BAND)
        axis.grid(visible=False)
        axis.set_xticks(range(len(names)), [str(i + 1) for i in range(len(names))])
        axis.set_yticks(range(len(names)), [f"{literal(name, 40)}  {i + 1}" for i, name in enumerate(names)])
        axis.set_title(f"{literal(split)}: agreement (Cohen's kappa)")
        for (i, j), cell in np.ndenumerate(cells):
            if np.isfinite(cell):
                dark = "white" if abs(cell) > 0.6 else "black"
                axis.text(j, i, _written(cell), ha="center", va="center", fontsize=7, color=dark)
    return figure
