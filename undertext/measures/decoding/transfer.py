"""The table of probe transfer: what is read across checkpoints, layers, positions, lengths and types."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from undertext.measures.decoding.config import Across
from undertext.measures.decoding.table import Row
from undertext.measures.decoding.values import Value

TRANSFER = pa.schema(
    [
        ("across", pa.string()),
        ("fitted", pa.string()),
        ("read", pa.string()),
        ("measure", pa.string()),
        ("figure", pa.float64()),
        ("n", pa.int64()),
        ("checkpoint", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("value", pa.string()),
        ("layer", pa.int64()),
        ("position", pa.string()),
        ("probe", pa.string()),
        ("seed", pa.int64()),
    ]
)
"""Columns of the table `transfer`; docs/probes.md says what each column holds."""


class Entries(NamedTuple):
    """What the figures of one matrix share. A field in which figures differ, or that says nothing, is
    empty."""

    across: Across
    task: str
    seed: int
    checkpoint: str | None = None
    value: Value | None = None
    probe: str | None = None
    position: str | None = None

    def layers(
        self,
        fitted: str,
        read: str,
        measure: str,
        split: str | None,
        figures: Float[Tensor, " layer"],
        n: int,
        layers: Sequence[int | None],
    ) -> list[Row]:
        """A row a layer; none for a figure that is NaN (no rows, or nothing that varies)."""
        shared = {
            "across": self.across,
            "fitted": fitted,
            "read": read,
            "measure": measure,
            "n": n,
            "checkpoint": self.checkpoint,
            "task": self.task,
            "split": split,
            "value": None if self.value is None else self.value.name,
            "position": self.position,
            "probe": self.probe,
            "seed": self.seed,
        }
        return [
            shared | {"layer": layer, "figure": figure}
            for layer, figure in zip(layers, figures.tolist(), strict=True)
            if figure == figure
        ]


def share(right: Tensor) -> Float[Tensor, " layer"]:
    """Share of rows read right, a layer each; NaN of no rows."""
    return torch.full((len(right),), torch.nan) if not right.shape[1] else right.double().mean(1)
