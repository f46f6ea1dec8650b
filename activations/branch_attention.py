"""Attention of a packed pass: its first tokens are a text like any other."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class CausalFirst(TorchFunctionMode):
    """While it is active, attention under one of these masks is computed in two parts: the first `n` queries,
    which read the keys up to their own, as causal attention, which leaves out what no query reads; the others
    with the mask. Figures are those of the mask alone, but for the order in which they are summed.

    `masks` [row, 1, query, key] are additive ones, square, and causal in their first `n` queries and keys.
    """

    def __init__(self, masks: Sequence[Tensor], n: int) -> None:
        super().__init__()
        self._masks, self._n = {mask.data_ptr(): mask.shape for mask in masks}, n

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        if func is not functional.scaled_dot_product_attention or len(args) != 3:
            return func(*args, **options)
        mask = options.get("attn_mask")
        if mask is None or self._masks.get(mask.data_ptr()) != mask.shape:
            return func(*args, **options)
        n, (query, key, value) = self._n, args
        head = options | {"attn_mask": None, "is_causal": True}
        first = func(query[..., :n, :], key[..., :n, :], value[..., :n, :], **head)
        rest = func(query[..., n:, :], key, value, **options | {"attn_mask": mask[..., n:, :]})
        return torch.cat([first, rest], dim=-2)
