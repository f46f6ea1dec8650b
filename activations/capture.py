"""Reading activations at chosen hook points and token positions."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.batching import batch_tokens_on, pad_right, run_batches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import check_dtype
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import ForwardStopped, HookFunction, check_points, hooked
from undertext.activations.placement import parse_device
from undertext.activations.positions import Positions, resolve
from undertext.activations.rope import sides


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


def capture(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    points: Sequence[HookPoint],
    positions: Positions = "last",
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    batch_tokens: int | None = None,
) -> Captured:
    """Run `prompts` (texts, or token ids) and keep what passes at `points`, at the chosen positions only.

    Prompts are batched by length, and each pass ends at the deepest point asked for. Only what is asked
    for leaves the model's device, once a batch. A batch that does not fit in memory is split.

    Args:
        checkpoint: what reads the prompts.
        prompts: texts, or token ids.
        points: where to read; each once.
        positions: which tokens of each prompt.
        dtype: of what is kept; the conversion is made where the model is.
        device: where it is kept.
        batch_tokens: tokens in one forward pass, padding included; by default what suits the model's device.

    Raises:
        UserError: for a point the model does not have, a position a prompt does not have, a prompt
            that does not fit the context or the memory, and for NaN or infinity in what was captured.
    """
    check_points(checkpoint, points)
    check_dtype("dtype", dtype)
    place = parse_device(device)
    encoded = checkpoint.encode(prompts)
    chosen = resolve(checkpoint, prompts, encoded, positions)
    starts = [0]
    for indices in chosen:
        starts.append(starts[-1] + len(indices))
    kept = empty(
        checkpoint,
        points,
        torch.tensor([row for row, indices in enumerate(chosen) for _ in indices], dtype=torch.long),
        torch.tensor([p for indices in chosen for p in indices], dtype=torch.long),
        dtype=dtype,
        device=place,
    )
    wanted = [index for index, indices in enumerate(chosen) if indices]

    def run(batch: list[int]) -> None:
        rows = [wanted[i] for i in batch]
        at = torch.tensor(
            [[i, p] for i, row in enumerate(rows) for p in chosen[row]], device=checkpoint.device
        ).unbind(1)
        target = torch.tensor([n for row in rows for n in range(starts[row], starts[row + 1])])
        seen: dict[HookPoint, Tensor] = {}
        with torch.inference_mode(), hooked(checkpoint, _keepers(points, seen, at, dtype)):
            with suppress(ForwardStopped):
                ids = pad_right([encoded[row] for row in rows], checkpoint.device)
                checkpoint.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
            if len(seen) < len(points):
                lacking = ", ".join(str(point) for point in points if point not in seen)
                raise RuntimeError(f"{checkpoint.name}: nothing passed at {lacking}")
            for point in points:
                kept[point][target.to(kept[point].device)] = seen.pop(point).to(kept[point].device)

    tokens = batch_tokens_on(checkpoint.device) if batch_tokens is None else batch_tokens
    lengths = [len(encoded[index]) for index in wanted]
    run_batches(lengths, tokens, run, kinds=sides(checkpoint, lengths))
    check_finite(checkpoint, kept)
    return kept


def _keepers(
    points: Sequence[HookPoint],
    seen: dict[HookPoint, Tensor],
    at: tuple[Tensor, ...],
    dtype: torch.dtype,
) -> dict[HookPoint, HookFunction]:
    """For each point, a hook that puts its chosen positions [m, width] into `seen`.

    The last one to run ends the pass.
    """

    def keeper(point: HookPoint) -> HookFunction:
        def keep(activation: Tensor) -> None:
            # The layers of one model may be on several devices.
            seen[point] = activation[tuple(each.to(activation.device) for each in at)].to(dtype)
            if len(seen) == len(points):
                raise ForwardStopped

        return keep

    return {point: keeper(point) for point in points}
