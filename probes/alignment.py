"""Orthogonal Procrustes: the rotation that takes one checkpoint's activations nearest to another's."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.rows import in_working_dtype


@dataclass(frozen=True, eq=False)
class Alignment:
    """A rotation (or reflection) about the means, fitted on some rows and applied to any."""

    rotation: Float[Tensor, "*slice d d"]
    """Orthogonal; it multiplies rows from the right."""
    mean_from: Float[Tensor, "*slice d"]
    mean_to: Float[Tensor, "*slice d"]

    def apply(self, X: Float[Tensor, "*slice m d"]) -> Float[Tensor, "*slice m d"]:
        """The rows where the other checkpoint would have them."""
        return (self.shift(X) - self.mean_to[..., None, :]) @ self.rotation + self.mean_to[..., None, :]

    def shift(self, X: Float[Tensor, "*slice m d"]) -> Float[Tensor, "*slice m d"]:
        """The rows moved by the difference of means alone."""
        return X.to(self.rotation) - self.mean_from[..., None, :] + self.mean_to[..., None, :]


def procrustes(X: Float[Tensor, "*slice n d"], Y: Float[Tensor, "*slice n d"]) -> Alignment:
    """The orthogonal R that minimises `|Xc R - Yc|` over rows that correspond, c for centred, a slice each.

    `R = U V'` of the singular value decomposition `Xc' Yc = U S V'` (Schönemann 1966, Psychometrika 31). No
    labels are used. With fewer rows than features R is arbitrary outside their span, so that other rows,
    which lie partly outside, are aligned less well. UserError where shapes differ.
    """
    if X.shape != Y.shape or X.ndim < 2:
        raise UserError(f"expected rows that correspond, got {list(X.shape)} and {list(Y.shape)}")
    X, Y = in_working_dtype(X), in_working_dtype(Y)
    mean_from, mean_to = X.mean(-2), Y.mean(-2)
    U, _, Vh = torch.linalg.svd((X - mean_from[..., None, :]).mT @ (Y - mean_to[..., None, :]))
    return Alignment(U @ Vh, mean_from, mean_to)


def mispaired_rows(problem: Int[Tensor, " n"], generator: torch.Generator) -> Int[Tensor, " n"]:
    """Rows to pair with instead, to see what fitting an alignment gives by itself.

    A random order that gives every row one of another problem, where no problem has over half the rows.
    """
    _, place, counts = torch.unique(problem, return_inverse=True, return_counts=True)
    rank = torch.randperm(len(counts), generator=generator)
    order = rank[place].argsort(stable=True)
    out = torch.empty_like(order)
    out[order] = order.roll(-int(counts.max()))
    return out
