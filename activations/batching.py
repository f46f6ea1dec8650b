"""Cutting prompts of mixed length into batches, and cutting further what does not fit in memory."""

import gc
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from undertext.activations.checks import check_whole
from undertext.activations.errors import UserError

Batch = TypeVar("Batch")

_TOKENS = {"cpu": 1024, "accelerator": 16384}
"""A CPU is fastest while a batch's activations stay in its caches; other devices want much work at once."""

_LOGITS = {"cpu": 1 << 24, "accelerator": 1 << 29}
"""Numbers of the logits that one forward pass gives: 32 MiB and 1 GiB of them in 16 bits."""


def batch_tokens_on(device: torch.device) -> int:
    """How many tokens one forward pass reads, padding included, unless told otherwise."""
    return _TOKENS["cpu" if device.type == "cpu" else "accelerator"]


def batch_logits_on(device: torch.device, d_vocab: int, share: float = 1.0) -> int:
    """How many tokens one forward pass reads that gives logits at this share of them: fewer than
    `batch_tokens_on`, where those of a large vocabulary would take more memory than the pass itself."""
    most = _LOGITS["cpu" if device.type == "cpu" else "accelerator"]
    return max(1, min(batch_tokens_on(device), int(most / (d_vocab * share))))


def run_batches(
    lengths: Sequence[int],
    tokens: int,
    run: Callable[[list[int]], None],
    *,
    kinds: Sequence[Hashable] | None = None,
) -> None:
    """Call `run` with the indices of one batch after another, until all have been run.

    Neighbours in length share a batch, so little is padded; the longest come first. A batch holds at most
    `tokens` tokens with its padding; a prompt longer than that is a batch of its own. With `kinds`, one for
    each prompt, a batch holds prompts of one kind alone (those of a kind are neighbours in length). A batch
    that runs out of memory is run again as two halves, and those after it are no larger.

    Raises:
        UserError: when `tokens` is not positive, and when a single prompt does not fit in memory.
    """
    check_whole("batch_tokens", tokens, 1)
    most = len(lengths)
    waiting = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    while waiting:
        size = max(1, min(most, tokens // max(lengths[waiting[0]], 1)))
        batch = waiting[:size]
        if kinds is not None:
            size = next((i for i, each in enumerate(batch) if kinds[each] != kinds[batch[0]]), size)
            batch = batch[:size]
        if fits(run, batch):
            del waiting[:size]
            continue
        if len(batch) == 1:
            raise UserError(
                f"prompt {batch[0]} alone, of {lengths[batch[0]]} tokens, does not fit in memory: shorten "
                "it, ask for fewer hook points, or use a device with more memory"
            )
        most, tokens = len(batch) // 2, max(1, tokens // 2)


def fits(run: Callable[[Batch], None], batch: Batch) -> bool:
    """Call `run`; whether there was memory for it. What it had allocated is free again when there was not."""
    try:
        run(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    else:
        return True
    # Only now, with the exception gone, do the tensors that its frames held go.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False


def out_of_memory(error: BaseException) -> bool:
    """Whether this is what torch or Python raises when an allocation fails, on a CPU or a GPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def pad_right(prompts: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "row position"]:
    """Token ids padded on the right with each prompt's last token.

    What stands on the right is invisible to a causal model, so such a batch needs no mask.
    """
    width = max(map(len, prompts))
    return torch.tensor([[*ids, *[ids[-1]] * (width - len(ids))] for ids in prompts], device=device)


def pad_left(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[Tensor, "row position"], Bool[Tensor, "row position"]]:
    """Token ids padded on the left, so that all prompts end together, and where the real tokens are."""
    width = max(map(len, prompts))
    ids = torch.tensor([[*[ids[0]] * (width - len(ids)), *ids] for ids in prompts], device=device)
    lengths = torch.tensor([len(ids) for ids in prompts], device=device)
    return ids, torch.arange(width, device=device)[None] >= width - lengths[:, None]
