"""Documents of unlike lengths as one batch, of which what is written is learnt and what is read is not."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

LEFT_OUT = -100
"""The label of a token that has no loss, as PyTorch's cross-entropy takes it."""


def padded(
    documents: Sequence[tuple[Sequence[int], int]], pad: int
) -> tuple[Int[Tensor, "row token"], Int[Tensor, "row token"]]:
    """Token ids, padded with `pad` on the right, and labels; a document is its ids and the number of those
    that are its prompt."""
    width = max(len(ids) for ids, _ in documents)
    tokens = torch.full((len(documents), width), pad)
    labels = torch.full((len(documents), width), LEFT_OUT)
    for row, (ids, head) in enumerate(documents):
        tokens[row, : len(ids)] = torch.tensor(ids)
        labels[row, head : len(ids)] = torch.tensor(ids[head:])
    return tokens, labels
