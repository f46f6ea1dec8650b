"""Subspaces of activation space: what a probe reads in, and random ones to compare with."""

import torch
from jaxtyping import Float
from torch import Tensor

from activations.errors import UserError


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
