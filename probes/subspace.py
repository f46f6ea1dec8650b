"""Subspaces of activation space: those that probes read, the angles between them, and ablating one."""

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.estimator import Classifier, Linear
from undertext.probes.low_rank import LowRankProbe
from undertext.probes.rows import in_working_dtype


def orthonormal_rows(vectors: Float[Tensor, "*slice k d"]) -> Float[Tensor, "*slice k d"]:
    """An orthonormal basis of the span of each slice's rows. UserError where rows are dependent."""
    rows = in_working_dtype(vectors)
    _, size, basis = torch.linalg.svd(rows, full_matrices=False)
    k, d = rows.shape[-2:]
    least = torch.finfo(rows.dtype).eps * max(k, d) * size.amax(-1)
    if k > d or bool((size.amin(-1) <= least).any()):
        raise UserError(f"expected {k} independent vectors of {d} entries, some are sums of others, or zero")
    return basis


def span_of(probe: Linear) -> Float[Tensor, "*slice_target k d"]:
    """An orthonormal basis of what a fitted probe reads, a slice and target each.

    Of a classifier its weights' differences, k = classes - 1 (a low-rank probe's rank); of a regression the
    one direction. UserError where weights span less (a class that a target never shows).
    """
    if isinstance(probe, LowRankProbe):
        return probe.basis_
    if not isinstance(probe, Classifier):
        return orthonormal_rows(probe.coef_[..., None, :])
    return orthonormal_rows(probe.coef_[..., 1:, :] - probe.coef_[..., :1, :])


def principal_angles(
    A: Float[Tensor, "*slice k d"], B: Float[Tensor, "*slice l d"]
) -> Float[Tensor, "*slice min_kl"]:
    """Principal angles between the spans of each slice's rows, in radians, the largest first.

    Small angles by their sines, which keeps their digits (Björck and Golub 1973, Math. Comp. 27; Knyazev and
    Argentati 2002, SIAM J. Sci. Comput. 23). UserError where rows are dependent or widths differ.
    """
    if A.shape[-1] != B.shape[-1]:
        raise UserError(f"expected subspaces of one space, got widths {A.shape[-1]} and {B.shape[-1]}")
    more, fewer = orthonormal_rows(A), orthonormal_rows(B)
    if more.shape[-2] < fewer.shape[-2]:
        more, fewer = fewer, more
    cosines = torch.linalg.svdvals(fewer @ more.mT).clamp(max=1)  # descending: angles ascend
    sines = torch.linalg.svdvals(fewer - (fewer @ more.mT) @ more).clamp(max=1)  # angles descend
    cosines = cosines.flip(-1)
    return torch.where(cosines.square() >= 0.5, sines.asin(), cosines.acos())


def mean_ablated(
    X: Float[Tensor, "*slice n d"], basis: Float[Tensor, "*slice k d"], mean: Float[Tensor, "*slice d"]
) -> Float[Tensor, "*slice n d"]:
    """Activations whose part in the subspace is the mean's: `x + P (mean - x)`, of orthonormal basis rows."""
    moved = mean[..., None, :] - X
    return X + (moved @ basis.mT) @ basis


def principal_directions(vectors: Float[Tensor, "*slice class d"]) -> Float[Tensor, "*slice r d"]:
    """Orthonormal directions in which the classes' vectors differ, those that tell most first.

    `vectors` are a probe's `coef_` or classes' means; `r` is the smaller of class - 1 and d, and the
    first k rows span the best subspace of k dimensions (Eckart and Young). Directions in which nothing
    differs come last, and are arbitrary.
    """
    if vectors.ndim < 2 or vectors.shape[-2] < 2:
        raise UserError(f"expected vectors of two classes or more, got {list(vectors.shape)}")
    differences = (vectors - vectors.mean(-2, keepdim=True)).double()
    _, _, directions = torch.linalg.svd(differences, full_matrices=False)
    r = min(vectors.shape[-2] - 1, vectors.shape[-1])
    return directions[..., :r, :].to(vectors.dtype)


def random_subspaces(count: int, k: int, d_model: int, *, seed: int) -> Float[Tensor, "count k d_model"]:
    """Orthonormal bases of `count` subspaces of k dimensions, uniformly distributed.

    The span of k normal vectors is (Muirhead 1982). UserError unless 1 <= k <= d_model.
    """
    if not 1 <= k <= d_model:
        raise UserError(f"a subspace of {d_model} dimensions has from 1 to {d_model} of them, got {k}")
    normal = torch.randn(count, d_model, k, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(normal).Q.mT.contiguous()
