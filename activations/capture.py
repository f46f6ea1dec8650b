"""Reading activations at chosen hook points and token positions."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.batching import by_length, pad_right
from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.hookpoint import HookPoint
from activations.hooks import ForwardStopped, HookFunction, check_point, hooked

Positions = Literal["last", "all"] | Sequence[Sequence[int]]
"""Which tokens of each prompt: its last one, all of them, or for each prompt a list of indices into
its own tokens (negative ones count from its end; the lists may differ in length)."""


@dataclass(frozen=True)
class Captured:
    """Activations at chosen points of a model, in the order of the prompts and of the positions asked for."""

    points: tuple[HookPoint, ...]
    rows: Int[Tensor, " n"]
    """Which prompt each vector comes from."""
    positions: Int[Tensor, " n"]
    """Which of that prompt's own tokens it stands at, from 0."""
    activations: Float[Tensor, "point n d_model"]
    """float32, on the CPU."""

    def __getitem__(self, point: HookPoint) -> Float[Tensor, "n d_model"]:
        """The activations at one point; UserError listing the points there are."""
        if point not in self.points:
            raise UserError(f"{point} was not captured; there are {', '.join(map(str, self.points))}")
        return self.activations[self.points.index(point)]


def capture(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    points: Sequence[HookPoint],
    positions: Positions = "last",
    *,
    batch_size: int = 64,
) -> Captured:
    """Run `prompts` (texts, or token ids) and keep what passes at `points`, at the chosen positions only.

    Prompts are batched by length, and each pass ends at the deepest point asked for.

    Raises:
        UserError: for a point the model does not have, a position a prompt does not have, a prompt
            that does not fit the context, and for NaN or infinity in what was captured.
    """
    if not points or len(set(points)) != len(points):
        raise UserError(f"expected hook points, each once, got [{', '.join(map(str, points))}]")
    for point in points:
        check_point(checkpoint, point)
    encoded = checkpoint.encode(prompts)
    chosen = _resolve(positions, [len(ids) for ids in encoded])
    starts = [0]
    for indices in chosen:
        starts.append(starts[-1] + len(indices))
    kept = torch.empty(len(points), starts[-1], checkpoint.d_model)
    wanted = [index for index, indices in enumerate(chosen) if indices]
    for batch in by_length([len(encoded[index]) for index in wanted], batch_size):
        rows = [wanted[i] for i in batch]
        source_row = torch.tensor(
            [i for i, row in enumerate(rows) for _ in chosen[row]], device=checkpoint.device
        )
        source_position = torch.tensor([p for row in rows for p in chosen[row]], device=checkpoint.device)
        target = torch.tensor([n for row in rows for n in range(starts[row], starts[row + 1])])
        pending = set(points)
        keepers = _keepers(points, pending, kept, source_row, source_position, target)
        with torch.inference_mode(), hooked(checkpoint, keepers), suppress(ForwardStopped):
            ids = pad_right([encoded[row] for row in rows], checkpoint.device)
            checkpoint.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        if pending:
            raise RuntimeError(f"{checkpoint.name}: nothing passed at {', '.join(map(str, sorted(pending)))}")
    captured = Captured(
        points=tuple(points),
        rows=torch.tensor([row for row, indices in enumerate(chosen) for _ in indices], dtype=torch.long),
        positions=torch.tensor([p for indices in chosen for p in indices], dtype=torch.long),
        activations=kept,
    )
    _check_finite(checkpoint, captured)
    return captured


def _keepers(
    points: Sequence[HookPoint],
    pending: set[HookPoint],
    kept: Float[Tensor, "point n d_model"],
    source_row: Int[Tensor, " m"],
    source_position: Int[Tensor, " m"],
    target: Int[Tensor, " m"],
) -> dict[HookPoint, HookFunction]:
    """For each point, a hook that copies its chosen positions into `kept`, and takes it off `pending`.

    The last one to run ends the pass.
    """

    def keeper(index: int, point: HookPoint) -> HookFunction:
        def keep(activation: Tensor) -> None:
            kept[index, target] = activation[source_row, source_position].to("cpu", torch.float32)
            pending.discard(point)
            if not pending:
                raise ForwardStopped

        return keep

    return {point: keeper(index, point) for index, point in enumerate(points)}


def _resolve(positions: Positions, lengths: Sequence[int]) -> list[list[int]]:
    """The chosen token indices of each prompt, from 0."""
    if isinstance(positions, str):
        if positions == "last":
            return [[length - 1] for length in lengths]
        if positions == "all":
            return [list(range(length)) for length in lengths]
        raise UserError(
            f"positions must be 'last', 'all' or a list of indices for each prompt, got {positions!r}"
        )
    if len(positions) != len(lengths):
        raise UserError(
            f"expected a list of positions for each of {len(lengths)} prompts, got {len(positions)}"
        )
    for row, (indices, length) in enumerate(zip(positions, lengths, strict=True)):
        for index in indices:
            if not -length <= index < length:
                raise UserError(f"prompt {row} has {length} tokens: there is no position {index} in it")
    return [[index % length for index in indices] for indices, length in zip(positions, lengths, strict=True)]


def _check_finite(checkpoint: Checkpoint, captured: Captured) -> None:
    # A sum is finite only if all is, and reads the tensor once; a finite overflow is told apart below.
    if captured.activations.sum().isfinite():
        return
    bad = (~captured.activations.isfinite()).any(dim=-1).nonzero()
    if len(bad):
        point, n = bad[0].tolist()
        raise UserError(
            f"{checkpoint.name}: NaN or infinity at {captured.points[point]}, "
            f"prompt {captured.rows[n].item()}, token {captured.positions[n].item()}"
        )
