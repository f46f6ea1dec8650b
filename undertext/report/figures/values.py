"""Figure: how well values read where they are about to be said, layer by value."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from undertext.core.terms import OTHER, Role
from undertext.report.figures.heatmap import MOST_WRITTEN, Panel, drawn
from undertext.report.numbers import brief, number
from undertext.report.style import WIDE, house_style, literal

MOST_VALUES = 10
"""Values that have a column; a title says how many more there are."""
MOST_NUMBERED = 4
"""Columns whose cells have room for a number that can be read on a phone."""
Row = Mapping[str, Any]


def values_figure(probes: Sequence[Row], split: str) -> Figure | None:
    """Heatmaps of one split's rows of `compare`'s table `probes`: base, tuned, transported, selectivity.

    Selectivity is the base's own accuracy less that of control labels. None without rows.
    """
    if not probes:
        return None
    panels, layers, names = _panels(probes)
    shown = names[:MOST_VALUES]
    title = split if len(names) <= MOST_VALUES else f"{split}: the first {MOST_VALUES} of {len(names)} values"
    most = MOST_WRITTEN if len(shown) <= MOST_NUMBERED else 0
    with house_style():
        return drawn(
            panels, layers, [literal(name, 14) for name in shown], title, "value",
            width=WIDE, size=10.0, most=most,
        )  # fmt: skip


def values_said(probes: Sequence[Row], split: str) -> str:
    """What the same figure shows, in words: where each panel is highest."""
    panels, layers, names = _panels(probes)
    said = []
    for panel in panels:
        if np.isnan(panel.cells).all():
            continue
        i, j = np.unravel_index(np.nanargmax(panel.cells), panel.cells.shape)
        best = number(float(panel.cells[i, j]))
        said.append(f"{panel.title} {best} (layer {layers[i]}, value {brief(names[j])})")
    return f"Highest on {split}: {'; '.join(said)}."


def _panels(probes: Sequence[Row]) -> tuple[list[Panel], list[int], list[str]]:
    """The heatmaps, their layers, and the names of all values; the first `MOST_VALUES` have columns."""
    names = list(dict.fromkeys(str(row["name"]) for row in probes))
    shown, layers = names[:MOST_VALUES], sorted({row["layer"] for row in probes})
    weaker: Role = next((row["checkpoint"] for row in probes if row["role"] == "weaker"), "base")
    roles = {weaker: "weaker", OTHER[weaker]: "stronger"}

    def cells(role: str, less: bool = False) -> Float[ndarray, "layer value"]:
        out = np.full((len(layers), len(shown)), np.nan)
        for i, layer in enumerate(layers):
            for j, name in enumerate(shown):
                rows = [
                    row for row in probes if (row["role"], row["layer"], row["name"]) == (role, layer, name)
                ]
                found = [
                    row["accuracy"] - (row["control"] if less else 0.0)
                    for row in rows
                    if not less or row["control"] is not None
                ]
                out[i, j] = fmean(found) if found else np.nan
        return out

    panels = [Panel("base", cells(roles["base"]), False), Panel("tuned", cells(roles["tuned"]), False)]
    if any(row["role"] == "transported" for row in probes):
        panels.append(Panel(f"{OTHER[weaker]}'s probes on {weaker}", cells("transported"), False))
    panels.append(Panel(f"selectivity, {weaker}", cells("weaker", less=True), True))
    return panels, layers, names
