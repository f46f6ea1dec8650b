"""Centred kernel alignment: how alike activations of the same rows are, up to rotation and scale."""

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.rows import in_working_dtype


def linear_cka(
    X: Float[Tensor, "*slice n d"], Y: Float[Tensor, "*other n e"], *, debiased: bool = False
) -> Float[Tensor, "*both"]:
    """Linear CKA of rows that correspond (Kornblith et al., arXiv 1905.00414), 1 for a rotated, scaled copy.

    `|Yc' Xc|^2 / (|Xc' Xc| |Yc' Yc|)` in Frobenius norms, c for centred. `debiased` puts the unbiased HSIC of
    Song et al. (2012, JMLR 13) in place of each: with more features than rows the plain form is near 1 for
    unrelated activations, this one near 0. It needs 4 rows. Axes of slices are broadcast: `X[:, None]`
    against `Y` is a matrix of layers by layers.

    Raises UserError where rows differ in number or are too few, and where activations do not vary.
    """
    X, Y = in_working_dtype(X), in_working_dtype(Y)
    n, least = X.shape[-2], 4 if debiased else 2
    if Y.shape[-2] != n or n < least:
        raise UserError(f"expected {least} rows or more that correspond, got {n} and {Y.shape[-2]}")
    X, Y = _centred(X), _centred(Y)
    hsic = _unbiased if debiased else _plain
    return hsic(X, Y) / (hsic(X, X) * hsic(Y, Y)).sqrt()


def _centred(X: Tensor) -> Tensor:
    centred = X - X.mean(-2, keepdim=True)
    noise = (8 * torch.finfo(X.dtype).eps) ** 2 * X.square().sum((-2, -1))
    if bool((centred.square().sum((-2, -1)) <= noise).any()):
        raise UserError("activations of a slice do not vary over rows")
    return centred


def _plain(X: Tensor, Y: Tensor) -> Tensor:
    return (X.mT @ Y).square().sum((-2, -1))


def _unbiased(X: Tensor, Y: Tensor) -> Tensor:
    """Of Gram matrices K, L without diagonals, from features: nothing is [n, n]. X and Y are centred, so
    rows of the full Gram matrices sum to zero, and of these to less the diagonal.
    """
    n = X.shape[-2]
    of_X, of_Y = X.square().sum(-1), Y.square().sum(-1)
    both = (of_X * of_Y).sum(-1)
    total = of_X.sum(-1) * of_Y.sum(-1) / ((n - 1) * (n - 2))
    return (_plain(X, Y) - both + total - 2 / (n - 2) * both) / (n * (n - 3))
