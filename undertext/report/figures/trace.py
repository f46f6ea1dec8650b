"""Figure: since when an answer is told along a trace, layer by token, a panel a reader."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from undertext.activations.errors import UserError
from undertext.report.figures.heatmap import Panel, drawn
from undertext.report.style import house_style


def trace_figure(table: pa.Table, before: int) -> Figure:
    """`Traced.figure`, of its table."""
    near = table.filter(pc.and_(pc.greater_equal(table["before"], 0), pc.less_equal(table["before"], before)))
    if not len(near):
        raise UserError("no trace says its answer: there is nothing to count tokens before")
    share = {
        (row["reader"], row["layer"], row["before"]): row["right_mean"]
        for row in near.set_column(
            near.column_names.index("right"), "right", pc.cast(near["right"], pa.float64())
        )
        .group_by(["reader", "layer", "before"])
        .aggregate([("right", "mean")])
        .to_pylist()
    }
    layers = sorted({layer for _, layer, _ in share})
    tokens = sorted({k for _, _, k in share}, reverse=True)
    panels = [
        Panel(
            reader.replace("_", " "),
            np.array([[share.get((reader, layer, k), np.nan) for k in tokens] for layer in layers]),
            False,
        )
        for reader in dict.fromkeys(table["reader"].to_pylist())
    ]
    with house_style():
        return drawn(
            panels,
            layers,
            [str(-k) for k in tokens],
            "share of problems whose answer is told",
            along="tokens after the last one before the answer is said",
        )
