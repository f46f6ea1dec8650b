"""Rows of the transfer table, made from what a matrix holds fixed."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.jobs.probe.config import Across
from undertext.measures.decoding.rows import Row
from undertext.measures.decoding.values import Value


class Entries(NamedTuple):
    """What is carried, and across what; empty where it is that which varies, or figures hang on none."""

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
        """A row a layer, but for figures that are none (no rows, or nothing that varies)."""
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
