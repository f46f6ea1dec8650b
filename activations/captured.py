"""Activations that were captured, and which token each is of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint


@dataclass(frozen=True, eq=False)
class Captured:
    """Activations at chosen points of a model, in the order of the prompts and of the positions asked for.

    `captured[point]` is `[n, d_model]`; at the site `z` it is `[n, n_heads * d_head]`, and
    `captured.heads(point)` is the same by head.
    """

    points: tuple[HookPoint, ...]
    rows: Int[Tensor, " n"]
    """Which prompt each vector comes from."""
    positions: Int[Tensor, " n"]
    """Which of that prompt's own tokens it stands at, from 0."""
    blocks: tuple[Float[Tensor, "_ n _"], ...]
    """[point, n, width]: all points of one width in one tensor, in the order in which widths first occur."""
    places: tuple[tuple[int, int], ...]
    """For each point, which block holds it, and at which index."""
    n_heads: int

    @property
    def activations(self) -> Float[Tensor, "point n d_model"]:
        """All points in one tensor, without a copy. UserError when points differ in width."""
        if len(self.blocks) != 1:
            widths = ", ".join(
                f"{point}: {self.blocks[block].shape[2]}"
                for point, (block, _) in zip(self.points, self.places, strict=True)
            )
            raise UserError(f"points of different widths make no one tensor ({widths}): take them one by one")
        return self.blocks[0]

    def __getitem__(self, point: HookPoint) -> Float[Tensor, "n width"]:
        """The activations at one point; UserError listing the points there are."""
        if point not in self.points:
            raise UserError(f"{point} was not captured; there are {', '.join(map(str, self.points))}")
        block, index = self.places[self.points.index(point)]
        return self.blocks[block][index]

    def heads(self, point: HookPoint) -> Float[Tensor, "n head d_head"]:
        """The activations at a point of the site `z`, by head; UserError for another site."""
        if point.site != "z":
            raise UserError(f"only at the site z is an activation one of heads, not at {point}")
        return self[point].unflatten(1, (self.n_heads, -1))


def empty(
    checkpoint: Checkpoint,
    points: Sequence[HookPoint],
    rows: Int[Tensor, " n"],
    positions: Int[Tensor, " n"],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Captured:
    """Room for these rows, not filled yet."""
    widths = [checkpoint.width(point) for point in points]
    distinct = list(dict.fromkeys(widths))
    blocks = tuple(
        torch.empty(widths.count(width), len(rows), width, dtype=dtype, device=device) for width in distinct
    )
    places = tuple((distinct.index(width), widths[:index].count(width)) for index, width in enumerate(widths))
    return Captured(tuple(points), rows, positions, blocks, places, checkpoint.n_heads)


def check_finite(checkpoint: Checkpoint, captured: Captured) -> None:
    """UserError naming the first point, prompt and token at which there is NaN or infinity."""
    for point in captured.points:
        activations = captured[point]
        # A sum is finite only if all is, and reads the tensor once; a finite overflow is told apart below.
        if activations.sum(dtype=torch.float32).isfinite():
            continue
        bad = (~activations.isfinite()).any(dim=-1).nonzero()
        if len(bad):
            n = int(bad[0])
            raise UserError(
                f"{checkpoint.name}: NaN or infinity at {point}, "
                f"prompt {captured.rows[n].item()}, token {captured.positions[n].item()}"
            )
