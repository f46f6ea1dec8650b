"""Reading activations at chosen hook points and token positions."""

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

from undertext.activations.batching import batch_tokens_on, pad_right, run_batches
from undertext.activations.captured import Captured, check_finite, empty
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import check_dtype
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import ForwardStopped, HookFunction, check_points, hooked
from undertext.activations.positions import Positions, resolve
from undertext.activations.rope import sides
from undertext.activations.sources import parse_device


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
            seen[point] = activation[at].to(dtype)
            if len(seen) == len(points):
                raise ForwardStopped

        return keep

    return {point: keeper(point) for point in points}
