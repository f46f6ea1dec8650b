"""Features at every token of some texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.saes.autoencoder import encode
from undertext.saes.checks import check_reads
from undertext.saes.firings import Collector, Firings
from undertext.saes.sae_type import SAE

TOKENS = 8192
"""Tokens captured and encoded at a time, about."""


@dataclass(frozen=True, eq=False)
class TextFirings:
    """What fires at every token of some texts, one row a token, text after text."""

    firings: Firings
    tokens: Int[Tensor, " n"]
    """The id of each token."""
    texts: Int[Tensor, " n"]
    """Which text each is of, from 0, ascending."""

    def __post_init__(self) -> None:
        """Refuse rows that are not the tokens of texts (UserError)."""
        if not len(self.tokens) == len(self.texts) == self.firings.n:
            raise UserError(
                f"expected a token and a text for each of {self.firings.n} rows, "
                f"got {len(self.tokens)} and {len(self.texts)}"
            )
        if (self.texts.diff() < 0).any() or int(self.texts[0]) < 0:
            raise UserError("expected texts in ascending order from 0, all tokens of one next to each other")

    @property
    def n_texts(self) -> int:
        """How many texts there are."""
        return int(self.texts[-1]) + 1

    def strongest(self) -> Float[Tensor, "text d_sae"]:
        """Each feature's greatest strength in each text; dense."""
        out = torch.zeros(self.n_texts * self.firings.d_sae)
        return out.scatter_reduce_(0, self._cells(), self.firings.strengths, "amax").view(self.n_texts, -1)

    def _cells(self) -> Int[Tensor, " m"]:
        return self.texts[self.firings.rows] * self.firings.d_sae + self.firings.features


def read_texts(
    sae: SAE,
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    point: HookPoint,
    *,
    skip: int = 0,
    scale: float = 1.0,
) -> TextFirings:
    """Run `texts` and read the features of `sae` at every token but the first `skip` of each.

    Activations at the first token are of another size than all others in many models; skip it where it says
    nothing. `scale` multiplies the activations first: `PairFirings.scales` says by what, for a checkpoint
    that the SAE was not trained on.

    UserError when the SAE is of another hook point or width, there are no texts, or one is no longer than
    `skip`.
    """
    check_reads(sae, checkpoint, point)
    encoded = checkpoint.encode(texts)
    short = next((i for i, ids in enumerate(encoded) if len(ids) <= skip), None)
    if not encoded or short is not None:
        raise UserError(
            "expected texts, got none"
            if short is None
            else f"text {short} has {len(encoded[short])} tokens: nothing is left when {skip} are skipped"
        )
    collector = Collector()
    for some in _parts(encoded):
        places = [list(range(skip, len(ids))) for ids in some]
        collector.add(encode(sae, capture(checkpoint, some, [point], places)[point] * scale))
    return TextFirings(
        collector.firings(),
        torch.tensor([token for ids in encoded for token in ids[skip:]]),
        torch.tensor([i for i, ids in enumerate(encoded) for _ in ids[skip:]]),
    )


def _parts(encoded: Sequence[list[int]]) -> list[list[list[int]]]:
    """Runs of texts of about TOKENS tokens in all, a text at least."""
    parts: list[list[list[int]]] = [[]]
    room = TOKENS
    for ids in encoded:
        if parts[-1] and len(ids) > room:
            parts.append([])
            room = TOKENS
        parts[-1].append(ids)
        room -= len(ids)
    return parts
