"""How well an SAE reconstructs the activations it reads, and how often its latents fire."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.saes.sae_type import SAE

ROWS = 2048
"""Rows measured at a time."""


@dataclass(frozen=True)
class Fidelity:
    """Reconstruction and sparsity of an SAE on some rows of activations."""

    explained_variance: float
    """1 less the mean squared error over the variance about the mean row; 1 is perfect, 0 no better than
    it."""
    l0: float
    """Active latents a row, on average."""
    dead_share: float
    """Share of the latents that fire at none of the rows."""
    rows: int


@torch.no_grad()
def fidelity(sae: SAE, activations: Float[Tensor, "n d_in"]) -> Fidelity:
    """Measure an SAE on activations that it was not trained on.

    Raises:
        UserError: when there are fewer than two rows, no variance in them, or another width than the SAE
            reads.
    """
    n = len(activations)
    if activations.shape[1] != sae.cfg.d_in or n < 2:
        raise UserError(
            f"expected two or more rows [n, {sae.cfg.d_in}] of activations, got {list(activations.shape)}"
        )
    mean = activations.double().mean(dim=0)
    error, variance = 0.0, 0.0
    fired = torch.zeros(sae.cfg.d_sae, dtype=torch.long, device=sae.W_dec.device)
    for rows in activations.split(ROWS):
        rows = rows.to(sae.W_dec.device, sae.W_dec.dtype)
        latents = sae.encode(rows)
        error += float((sae.decode(latents) - rows).double().pow(2).sum())
        variance += float((rows.double() - mean.to(rows.device)).pow(2).sum())
        fired += (latents > 0).sum(dim=0)
    if variance == 0:
        raise UserError(f"all {n} rows of activations are equal: there is no variance to explain")
    return Fidelity(1 - error / variance, int(fired.sum()) / n, int((fired == 0).sum()) / len(fired), n)


@torch.no_grad()
def firing_shares(sae: SAE, activations: Float[Tensor, "n d_in"]) -> Float[Tensor, " d_sae"]:
    """Share of the rows at which each latent fires."""
    fired = torch.zeros(sae.cfg.d_sae, dtype=torch.long, device=sae.W_dec.device)
    for rows in activations.split(ROWS):
        fired += (sae.encode(rows.to(sae.W_dec.device, sae.W_dec.dtype)) > 0).sum(dim=0)
    return (fired.double() / len(activations)).float().cpu()
