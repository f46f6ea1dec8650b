"""The logit lens and the tuned lens: what the stream at a layer would have the model say next."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.capture import Captured
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.unembed import unembed
from undertext.probes.tuned_lens import TunedLens, lens_index

LOGITS = 2**26
"""Logits held at once: 256 MiB in float32."""


def lens_logits(
    checkpoint: Checkpoint, captured: Captured, lens: TunedLens | None = None
) -> Float[Tensor, "point n d_vocab"]:
    """The logits read at every captured point and token; without `lens` by the logit lens.

    `resid_post` of the last block gives the model's own logits. All of them are held: for many tokens and a
    large vocabulary take `lens_log_probs` of the tokens of interest.

    Raises:
        UserError: for a point that is no end of a block, and a lens of another model's shape.
    """
    if lens is not None:
        lens.check(checkpoint)
    return torch.stack([_logits(checkpoint, p, captured[p], lens) for p in captured.points])


def lens_log_probs(
    checkpoint: Checkpoint,
    points: Sequence[HookPoint],
    X: Float[Tensor, "point n d_model"],
    tokens: Int[Tensor, " token"],
    lens: TunedLens | None = None,
) -> Float[Tensor, "point n token"]:
    """Log-probability, over the whole vocabulary, of each of `tokens` as the next one, read from `X`.

    No more than some `LOGITS` logits are held at once. Raises UserError as `lens_logits` does, and when
    points and activations do not go together.
    """
    if X.ndim != 3 or len(X) != len(points):
        raise UserError(f"expected activations [{len(points)}, n, {checkpoint.d_model}], got {list(X.shape)}")
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < checkpoint.d_vocab:
        raise UserError(f"{checkpoint.name}: expected tokens from 0 to {checkpoint.d_vocab - 1}")
    if lens is not None:
        lens.check(checkpoint)
    size = max(1, LOGITS // checkpoint.d_vocab)
    at = tokens.to(checkpoint.device)
    out = torch.empty(len(points), X.shape[1], len(tokens))
    for row, point in enumerate(points):
        for rows in torch.arange(X.shape[1]).split(size):
            logits = _logits(checkpoint, point, X[row, rows], lens)
            out[row, rows] = (logits[:, at] - logits.logsumexp(-1, keepdim=True)).cpu()
    return out


def _logits(
    checkpoint: Checkpoint, point: HookPoint, h: Float[Tensor, "n d_model"], lens: TunedLens | None
) -> Float[Tensor, "n d_vocab"]:
    lens_index(point, checkpoint.n_layers)
    with torch.no_grad():
        return unembed(checkpoint, h if lens is None else lens.translate(point, h))
