"""Means and second moments of rows, of a batch and of many."""

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 192
"""Columns of a Gram matrix worked out at once: a third less work than the whole, which has all twice."""


def gram(Z: Float[Tensor, "slice n d"], weight: Float[Tensor, " n"]) -> Float[Tensor, "slice d d"]:
    """`sum over rows of weight * z z'`, exactly symmetric."""
    d = Z.shape[-1]
    left = Z if bool((weight == weight[0]).all()) else Z * weight[:, None]
    out = Z.new_empty(len(Z), d, d)
    for i in range(0, d, BLOCK):
        block = left[..., i : i + BLOCK].mT @ Z[..., i:]
        if left is Z:
            block *= weight[0]
        square = block[..., : block.shape[-2]]
        out[:, i : i + BLOCK, i:] = block
        out[:, i:, i : i + BLOCK] = block.mT
        # Within a block on the diagonal the two triangles may differ in the last bit.
        out[:, i : i + BLOCK, i : i + BLOCK] = (square + square.mT) / 2
    return out


class Moments:
    """Weighted mean and scatter of rows that come in batches, merged in float64.

    The merge is that of Chan, Golub and LeVeque (1983, Am. Stat. 37): each batch is centred by its own mean,
    so that features far from zero lose nothing.
    """

    weight: float
    mean: Float[Tensor, "slice d"]
    scatter: Float[Tensor, "slice d d"]
    """`sum of weight * (x - mean)(x - mean)'`."""

    def __init__(self) -> None:
        self.weight = 0.0

    def add(self, X: Float[Tensor, "slice b d"], weight: Float[Tensor, " b"]) -> None:
        """Take in a batch."""
        total = float(weight.sum())
        if total == 0:
            return
        mean = (weight / total)[None, None] @ X
        Z = X - mean
        mean, scatter = mean[:, 0].double(), gram(Z, weight).double()
        if self.weight == 0:
            self.weight, self.mean, self.scatter = total, mean, scatter
            return
        step = mean - self.mean
        both = self.weight + total
        self.scatter += scatter + step[:, :, None] * step[:, None, :] * (self.weight * total / both)
        self.mean += step * (total / both)
        self.weight = both


def scale_of(
    mean: Float[Tensor, "slice d"], deviation: Float[Tensor, "slice d"], eps: float
) -> tuple[Float[Tensor, "slice d"], Tensor]:
    """Standard deviations with 1 for constant features, and which those are.

    Constant is what varies by no more than rounding (`eps`) in the feature's size could make it seem to.
    """
    constant = deviation <= 4 * eps * mean.abs()
    return torch.where(constant, torch.ones_like(deviation), deviation), constant
