"""An SAE with random weights, for a tiny checkpoint."""

import torch
from sae_lens import StandardSAE, StandardSAEConfig

from undertext.activations import Checkpoint
from undertext.saes.sae_type import SAE

LAYER = 1
"""The layer that it reads, after the block."""


def sae_of(
    checkpoint: Checkpoint, hook: str | None = f"blocks.{LAYER}.hook_resid_post", width: int = 32
) -> SAE:
    """Said to be trained on the checkpoint; its features write at different lengths."""
    sae = StandardSAE(StandardSAEConfig(d_in=width, d_sae=24, normalize_activations="none"))
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=noise))
        sae.b_enc -= 2
    sae.cfg.metadata.hook_name, sae.cfg.metadata.fingerprint = hook, checkpoint.fingerprint
    return sae.eval()
