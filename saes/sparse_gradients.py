"""Reconstruction from active latents, with gradients that touch nothing else."""

from typing import Any

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


class Code(torch.autograd.Function):
    """What the active latents write: `reconstruct`, whose gradients are written by hand.

    With z the active latents' strengths, y = z W_dec, and g the gradient at y: dW_dec = z^T g; dz = g W_dec^T at
    the active latents alone; dW_enc = (x - b_dec)^T dz; db_enc = sum of dz; and db_dec = -W_enc db_enc where
    b_dec was taken off the input. All are sums over active latents.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, W_enc: Tensor, b_enc: Tensor, W_dec: Tensor, b_dec: Tensor | None,
                starts: Tensor, latents: Tensor, strengths: Tensor) -> Tensor:  # fmt: skip
        """Sum of the active latents' decoder rows."""
        ctx.save_for_backward(x, W_enc, W_dec, b_dec, starts, latents, strengths)
        return csr(starts, latents, strengths, (len(x), len(W_dec))) @ W_dec

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for the two weights and two biases; the input and the pattern have none."""
        (grad,) = grads
        x, W_enc, W_dec, b_dec, starts, latents, strengths = ctx.saved_tensors
        shape = (len(x), len(W_dec))
        grad = grad.contiguous()
        pattern = csr(starts, latents, torch.zeros_like(strengths), shape)
        inner = torch.sparse.sampled_addmm(pattern, grad, W_dec.t(), beta=0.0).values()
        # One sort by latent serves both products.
        places = torch.arange(len(latents), device=x.device)
        columns = csr(starts, latents, places, shape).to_sparse_csc()
        order = columns.values()
        by_latent = (columns.ccol_indices(), columns.row_indices())
        turned = (shape[1], shape[0])
        dW_dec = csr(*by_latent, strengths[order], turned) @ grad
        inner = inner[order]
        d_inner = csr(*by_latent, inner, turned)
        db_enc = torch.zeros_like(W_dec[:, 0]).index_add_(0, latents[order], inner)
        centred = x if b_dec is None else x - b_dec
        dW_enc = (d_inner @ centred).t()
        db_dec = None if b_dec is None else -(W_enc @ db_enc)
        return None, dW_enc, db_enc, dW_dec, db_dec, None, None, None


def csr(
    starts: Int[Tensor, " n_plus_1"], columns: Int[Tensor, " m"], values: Shaped[Tensor, " m"], shape: tuple[int, int]
) -> Tensor:
    """A sparse matrix of this shape, its parts taken as they are."""
    return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
