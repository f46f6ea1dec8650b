"""Figure: since when an answer is read right along a trace, layer by token, a panel a reader."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from undertext.activations.errors import UserError
from undertext.report.figures.heatmap import Panel, drawn
from undertext.report.style import house_style


def trace_figure(readings: Sequence[Mapping[str, Any]], before: int) -> Figure:
    """The figure from the rows of `TraceResult`'s table, up to so many tokens before the answer is said."""
    right: dict[tuple[str, int, int], list[bool]] = {}
    for row in readings:
        if row["before"] is not None and 0 <= row["before"] <= before:
            right.setdefault((row["reader"], row["layer"], row["before"]), []).append(row["right"])
    if not right:
        raise UserError("no trace says its answer: there is nothing to count tokens before")
    share = {cell: fmean(each) for cell, each in right.items()}
    layers = sorted({layer for _, layer, _ in share})
    tokens = sorted({k for _, _, k in share}, reverse=True)
    panels = [
        Panel(
            reader.replace("_", " "),
            np.array([[share.get((reader, layer, k), np.nan) for k in tokens] for layer in layers]),
            False,
        )
        for reader in dict.fromkeys(reader for reader, _, _ in share)
    ]
    with house_style():
        return drawn(
            panels,
            layers,
            [str(-k) for k in tokens],
            "share of problems whose answer is read right",
            along="tokens after the last one before the answer is said",
        )
