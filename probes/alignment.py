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
    labels are used. Outside the span of the rows (with fewer of them than features, or dependent features)
    every R does: it is then the one nearest to none at all, by the same rule, rather than one that rounding
    picks; other rows, which lie partly outside, are aligned less well. Outside are directions whose singular
    value is under `eps(float64) max(n, d) + eps(dtype)` of the largest: what the sum and the rows are rounded
    by. Computed in float64. UserError where shapes differ.
    """
    if X.shape != Y.shape or X.ndim < 2:
        raise UserError(f"expected rows that correspond, got {list(X.shape)} and {list(Y.shape)}")
    X, Y = in_working_dtype(X), in_working_dtype(Y)
    mean_from, mean_to = X.mean(-2), Y.mean(-2)
    moved, goal = (each.double() - each.double().mean(-2, keepdim=True) for each in (X, Y))
    cross = (moved.mT @ goal).reshape(-1, X.shape[-1], X.shape[-1])
    least = torch.finfo(torch.float64).eps * max(X.shape[-2:]) + torch.finfo(X.dtype).eps
    rotation = torch.stack([_nearest(each, least) for each in cross])
    return Alignment(rotation.reshape(*X.shape[:-2], *cross.shape[1:]).to(X), mean_from, mean_to)


def _nearest(cross: Float[Tensor, "d d"], least: float) -> Float[Tensor, "d d"]:
    """The orthogonal matrix nearest to this one; where this one is zero, nearest to the identity."""
    U, S, Vh = torch.linalg.svd(cross)
    rank = int(S.gt(least * S[0]).sum())
    inside, outside = U[:, :rank] @ Vh[:rank], U[:, rank:].mT @ Vh[rank:].mT
    P, _, Qh = torch.linalg.svd(outside)
    return inside + U[:, rank:] @ P @ Qh @ Vh[rank:]


def mispaired_rows(problem: Int[Tensor, " n"], generator: torch.Generator) -> Int[Tensor, " n"]:
    """Rows to pair with instead, to see what fitting an alignment gives by itself.

    A random order that gives every row one of another problem, where no problem has over half the rows.
    """
    _, place, counts = torch.unique(problem.cpu(), return_inverse=True, return_counts=True)
    rank = torch.randperm(len(counts), generator=generator)
    order = rank[place].argsort(stable=True)
    out = torch.empty_like(order)
    out[order] = order.roll(-int(counts.max()))
    return out
