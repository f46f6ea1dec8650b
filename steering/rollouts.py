"""Activations of text that a checkpoint has written itself."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import TokenSpan

TEXTS = 64
"""Texts that are captured together: every token of all, at every layer, would fill the memory."""


def means_of_written(
    checkpoint: Checkpoint,
    texts: Sequence[Sequence[int]],
    heads: Sequence[int],
    points: Sequence[HookPoint],
) -> Float[Tensor, "point text d_model"]:
    """Mean activation over each text's tokens after its first `heads`, those of the prompt.

    UserError for a text with no tokens after its prompt.
    """
    for row, (text, head) in enumerate(zip(texts, heads, strict=True)):
        if not 0 <= head < len(text):
            raise UserError(f"text {row} has {len(text)} tokens, {head} of them its prompt: none is written")
    means = []
    for start in range(0, len(texts), TEXTS):
        some = texts[start : start + TEXTS]
        where = [TokenSpan(head, None) for head in heads[start : start + TEXTS]]
        captured = capture(checkpoint, some, points, where)
        means += [captured.activations[:, captured.rows == row].mean(1) for row in range(len(some))]
    return torch.stack(means, 1) if means else torch.zeros(len(points), 0, checkpoint.d_model)
