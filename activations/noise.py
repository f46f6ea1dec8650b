"""Noise on a checkpoint's weights: what a checkpoint holds back on purpose may come out under it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.originals import restored

_PART = 1 << 22
"""Numbers of a matrix that are worked on at a time."""


@contextmanager
def noisy(checkpoint: Checkpoint, scale: float, *, seed: int) -> Iterator[None]:
    """Run the body with Gaussian noise on every weight matrix (embeddings among them; no bias, no norm).

    The noise of a matrix has `scale` times the root mean square of its entries as its standard deviation
    (after Tice et al., arXiv 2412.01784, who add one standard deviation to all). Afterwards the weights are
    what they were, bit for bit, whatever happens: those that files on this machine hold are read from there,
    of others a copy is held meanwhile; and those of a checkpoint that shares a room are read again in their
    turn. The same seed, device and precision give the same noise.

    Raises:
        UserError: for a scale that is not above 0, where the weights are no floating-point numbers, and where
            their files have changed meanwhile.
    """
    if not 0 < scale < float("inf"):
        raise UserError(f"expected a scale of noise above 0, got {scale}")
    matrices = [p for p in checkpoint.model.parameters() if p.ndim > 1 and p.is_floating_point()]
    if not matrices:
        raise UserError(
            f"{shown(checkpoint.name)} has no weight matrix of floating-point numbers to add noise to"
        )
    with restored(checkpoint.weights, matrices):
        _add(matrices, scale, seed)
        yield


@torch.no_grad()
def _add(matrices: Sequence[Tensor], scale: float, seed: int) -> None:
    generators: dict[torch.device, torch.Generator] = {}
    for matrix in matrices:
        if matrix.device not in generators:
            generators[matrix.device] = torch.Generator(matrix.device).manual_seed(seed)
        # A part at a time: in float32 an embedding of 16 bits would be held three times over.
        parts = matrix.split(max(1, _PART // matrix[0].numel()))
        size = (sum(part.float().square().sum() for part in parts) / matrix.numel()).sqrt()
        for part in parts:
            noise = torch.randn(part.shape, generator=generators[part.device], device=part.device)
            part.add_((noise * (scale * size)).to(part.dtype))
