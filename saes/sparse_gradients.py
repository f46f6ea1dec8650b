"""Reconstruction from active latents, with gradients that are sums over these alone."""

import warnings
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from undertext.saes.active import Active


def reconstruct(
    inputs: Float[Tensor, "n d_in"],
    W_enc: Float[Tensor, "d_in d_sae"],
    b_enc: Float[Tensor, " d_sae"],
    W_dec: Float[Tensor, "d_sae d_in"],
    b_dec: Float[Tensor, " d_in"] | None,
    active: Active,
    strengths: Float[Tensor, " active"],
) -> Float[Tensor, "n d_in"]:
    """What the active latents write: the sum of strength times decoder row, for every row of `inputs`.

    `strengths` must be (inputs - b_dec) W_enc + b_enc at the active latents; gradients are given as if they
    had been computed here. `b_dec` is None where it was not taken off the inputs. The inputs get no gradient.
    """
    tensors = (inputs, W_enc, b_enc, W_dec, b_dec, active.starts, active.latents, strengths)
    written: Tensor = _Reconstruct.apply(*tensors)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return written


class _Reconstruct(torch.autograd.Function):
    """With z the strengths, y = z W_dec and g the gradient at y, all at active latents alone.

    dW_dec = z^T g; dz = g W_dec^T; dW_enc = (x - b_dec)^T dz; db_enc = sum of dz over rows; db_dec = -W_enc
    db_enc.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor | None,
        starts: Tensor,
        latents: Tensor,
        strengths: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(x, W_enc, W_dec, b_dec, starts, latents, strengths)
        return _csr(starts, latents, strengths, (len(x), len(W_dec))) @ W_dec

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, W_enc, W_dec, b_dec, starts, latents, strengths = ctx.saved_tensors
        shape, turned = (len(x), len(W_dec)), (len(W_dec), len(x))
        grad = grad.contiguous()
        pattern = _csr(starts, latents, torch.zeros_like(strengths), shape)
        d_strengths = torch.sparse.sampled_addmm(pattern, grad, W_dec.t(), beta=0.0).values()
        # One sort by latent serves both products.
        places = _csr(starts, latents, torch.arange(len(latents), device=x.device), shape).to_sparse_csc()
        order, by_latent = places.values(), (places.ccol_indices(), places.row_indices())
        dW_dec = _csr(*by_latent, strengths[order], turned) @ grad
        d_strengths = d_strengths[order]
        db_enc = torch.zeros_like(W_dec[:, 0]).index_add_(0, latents[order], d_strengths)
        centred = x if b_dec is None else x - b_dec
        dW_enc = (_csr(*by_latent, d_strengths, turned) @ centred).t()
        db_dec = None if b_dec is None else -(W_enc @ db_enc)
        return None, dW_enc, db_enc, dW_dec, db_dec, None, None, None


def _csr(
    starts: Int[Tensor, " n_plus_1"],
    columns: Int[Tensor, " active"],
    values: Shaped[Tensor, " active"],
    shape: tuple[int, int],
) -> Tensor:
    with warnings.catch_warnings():
        # Each said once in a process, the second by older torch; the products used here are checked against
        # dense ones.
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
