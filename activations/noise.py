"""Noise on a checkpoint's weights: what a checkpoint holds back on purpose may come out under it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown


@contextmanager
def noisy(checkpoint: Checkpoint, scale: float, *, seed: int) -> Iterator[None]:
    """Run the body with Gaussian noise on every weight matrix (embeddings among them; no bias, no norm).

    The noise of a matrix has `scale` times the root mean square of its entries as its standard deviation
    (after Tice et al., arXiv 2412.01784, who add one standard deviation to all). Afterwards the weights are
    what they were, bit for bit, whatever happens: a copy of them is held meanwhile. The same seed, device and
    precision give the same noise.

    Raises:
        UserError: for a scale that is not above 0, and where the weights are no floating-point numbers.
    """
    if not 0 < scale < float("inf"):
        raise UserError(f"expected a scale of noise above 0, got {scale}")
    matrices = [p for p in checkpoint.model.parameters() if p.ndim > 1 and p.is_floating_point()]
    if not matrices:
        raise UserError(
            f"{shown(checkpoint.name)} has no weight matrix of floating-point numbers to add noise to"
        )
    generators: dict[torch.device, torch.Generator] = {}
    before = []
    try:
        with torch.no_grad():
            for matrix in matrices:
                before.append(matrix.detach().clone())
                if matrix.device not in generators:
                    generators[matrix.device] = torch.Generator(matrix.device).manual_seed(seed)
                size = matrix.float().square().mean().sqrt()
                noise = torch.randn(matrix.shape, generator=generators[matrix.device], device=matrix.device)
                matrix.add_((scale * size * noise).to(matrix.dtype))
        yield
    finally:
        with torch.no_grad():
            for matrix, own in zip(matrices, before, strict=False):
                matrix.copy_(own)
