"""What steering does to the reading of given text: how far predictions move, and how well they still fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.batching import batch_logits_on, run_batches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.forward_texts import forward_texts
from undertext.activations.interventions import Intervention
from undertext.steering.settings import Interventions, Readout, Setting
from undertext.steering.steering_vector import SteeringVector

_PART = 1 << 20
"""Numbers of the logits that are worked on at a time."""


@dataclass(frozen=True)
class OnText:
    """One figure a token that was predicted, those of the first text first. Nats."""

    divergence: Float[Tensor, " token"]
    """KL(steered || unsteered) of the prediction."""
    unsteered: Float[Tensor, " token"]
    """-log p of the text's own token, without steering, and"""
    steered: Float[Tensor, " token"]
    """with it."""
    texts: Int[Tensor, " token"]
    """Of which text the token is."""
    touched: int
    """At how many tokens of all texts something was changed."""


def on_text(
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    setting: Setting,
    vectors: Sequence[SteeringVector],
    *,
    thresholds: Mapping[str, Readout] | None = None,
) -> OnText:
    """Read each text with a setting and without.

    The first half of a text stands for the prompt and the second for what is generated, so that each
    gate acts as it does in a sweep; the second half is what is predicted.

    Raises:
        UserError: for a text of one token, and as `sweep` for a setting that cannot be.
        RuntimeError: when hooks did not act at exactly the tokens they were to act at.
    """
    encoded = _encoded(checkpoint, texts)
    acting = Interventions(vectors, thresholds).of(setting)
    return read_steered(checkpoint, encoded, [acting] * len(encoded))


def read_steered(
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    interventions: Sequence[Sequence[Intervention]],
    *,
    heads: Sequence[int] | None = None,
) -> OnText:
    """`on_text`, with each text's interventions and the number of its tokens that are its prompt."""
    encoded = _encoded(checkpoint, texts)
    halves = [len(ids) // 2 for ids in encoded] if heads is None else list(heads)
    found: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
    touched = 0

    def run(rows: list[int]) -> None:
        nonlocal touched
        some, starts = [encoded[row] for row in rows], [halves[row] for row in rows]
        plain = forward_texts(checkpoint, some, heads=starts)
        steered = forward_texts(checkpoint, some, [interventions[row] for row in rows], heads=starts)
        here = sum(each.all for each in steered.touched)
        for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
            own = torch.tensor(some[i][start:], dtype=torch.long, device=plain.logits.device)[:, None]
            at = slice(start - 1, len(some[i]) - 1)
            found[row] = _compared(plain.logits[i, at], steered.logits[i, at], own)
        touched += here

    tokens = batch_logits_on(checkpoint.device, checkpoint.d_vocab)
    run_batches([len(ids) for ids in encoded], tokens, run)
    parts = [found[row] for row in range(len(encoded))]
    owner = [torch.full((len(part[0]),), row) for row, part in enumerate(parts)]
    divergence, unsteered, with_it = (torch.cat(each) for each in zip(*parts, strict=True))
    return OnText(divergence, unsteered, with_it, torch.cat(owner), touched)


def _compared(
    plain: Float[Tensor, "token d_vocab"],
    steered: Float[Tensor, "token d_vocab"],
    own: Int[Tensor, "token 1"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Divergence, and -log p of the text's own token without steering and with it. On the CPU.

    Few tokens at a time: in float32 logits take twice what the model gave, and four such tensors are needed.
    """
    parts = []
    few = max(1, _PART // plain.shape[-1])
    for one, other, token in zip(plain.split(few), steered.split(few), own.split(few), strict=True):
        p, q = one.float().log_softmax(-1), other.float().log_softmax(-1)
        divergence = q.exp().mul_(q - p).sum(-1).clamp(min=0)  # below 0 by rounding alone
        parts.append((divergence.cpu(), -p.gather(1, token)[:, 0].cpu(), -q.gather(1, token)[:, 0].cpu()))
    divergence, unsteered, with_it = (torch.cat(each) for each in zip(*parts, strict=True))
    return divergence, unsteered, with_it


def _encoded(checkpoint: Checkpoint, texts: Sequence[str] | Sequence[Sequence[int]]) -> list[list[int]]:
    encoded = checkpoint.encode(texts)
    for row, ids in enumerate(encoded):
        if len(ids) < 2:
            raise UserError(f"text {row} has {len(ids)} token: none can be predicted")
    return encoded
