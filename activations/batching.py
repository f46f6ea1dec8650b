"""Cutting prompts of mixed length into batches."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from activations.errors import UserError


def by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices of the prompts in batches of at most `batch_size`, longest first.

    Neighbours in length share a batch, so little is padded; the longest come first so that what
    will not fit in memory fails at once. UserError when `batch_size` is not positive.
    """
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1, got {batch_size}")
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def pad_right(prompts: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "row position"]:
    """Token ids padded on the right with each prompt's last token.

    What stands on the right is invisible to a causal model, so such a batch needs no mask.
    """
    width = max(map(len, prompts))
    return torch.tensor([[*ids, *[ids[-1]] * (width - len(ids))] for ids in prompts], device=device)


def pad_left(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[Tensor, "row position"], Int[Tensor, "row position"]]:
    """Token ids padded on the left, so that all prompts end together, and a mask that is 1 at real tokens."""
    width = max(map(len, prompts))
    ids = torch.tensor([[*[ids[0]] * (width - len(ids)), *ids] for ids in prompts], device=device)
    lengths = torch.tensor([len(ids) for ids in prompts], device=device)
    mask = torch.arange(width, device=device)[None] >= width - lengths[:, None]
    return ids, mask.long()
