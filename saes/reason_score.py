"""ReasonScore: how much a feature fires around words of reasoning. A baseline: it rewards vocabulary."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.saes.texts import TextFirings

Words = Mapping[str, Sequence[Sequence[int]]]
"""For each word its spellings, each as token ids: ` wait` and `Wait` are two of one word."""


class ReasonScore(NamedTuple):
    """The score of every feature and what it is made of (Galichin et al., arXiv 2503.18878)."""

    score: Float[Tensor, " d_sae"]
    near: Float[Tensor, " d_sae"]
    """Mean strength over the tokens in a window around any of the words, over that of all features."""
    elsewhere: Float[Tensor, " d_sae"]
    """The same over all other tokens."""
    entropy: Float[Tensor, " d_sae"]
    """Of the word, by the mean strength around each: 0 for a feature of one word, 1 for one of all alike."""


def score_reasoning(
    read: TextFirings,
    words: Words,
    *,
    before: int = 1,
    after: int = 2,
    power: float = 0.7,
    decoder_norms: Float[Tensor, " d_sae"] | None = None,
) -> ReasonScore:
    """near * entropy ** power - elsewhere.

    Windows reach from `before` tokens before a word to `after` tokens after it, within its text. With one
    word, the entropy is 1. `decoder_norms`, where decoder rows are not of length 1, make strengths of
    different features comparable: each is multiplied by its norm, as the published code does.

    Raises:
        UserError: for no words, a spelling of no tokens, and when no word is in the texts, or nothing
            outside the windows.
    """
    if not words or not all(spellings and all(map(len, spellings)) for spellings in words.values()):
        raise UserError("expected words, each with spellings of one token or more")
    firings = read.firings
    windows = torch.stack(
        [_around(_found(read, spellings), read.texts, before, after) for spellings in words.values()]
    )
    inside = windows.any(dim=0)
    if not inside.any() or inside.all():
        raise UserError(
            f"none of the words is in the texts: {', '.join(words)}"
            if not inside.any()
            else "every token is within a window around a word: there is nothing to compare with"
        )
    strengths = firings.strengths.double()
    if decoder_norms is not None:
        strengths = strengths * decoder_norms[firings.features]

    def mean(rows: Bool[Tensor, " n"]) -> Float[Tensor, " d_sae"]:
        return firings.sums(strengths * rows[firings.rows]) / rows.sum().clamp(min=1)

    near, elsewhere = (_share(mean(rows), 0) for rows in (inside, ~inside))
    entropy = torch.ones_like(near)
    if len(words) > 1:
        by_word = _share(torch.stack([mean(window) for window in windows]), 0)
        entropy = -torch.xlogy(by_word, by_word).sum(dim=0) / math.log(len(words))
    score = near * entropy**power - elsewhere
    return ReasonScore(*(each.float() for each in (score, near, elsewhere, entropy)))


def _share(values: Float[Tensor, "*n d"], dim: int) -> Float[Tensor, "*n d"]:
    """Over their sum; 0 where all are 0."""
    total = values.sum(dim=dim, keepdim=True)
    return values / torch.where(total == 0, 1.0, total)


def _found(read: TextFirings, spellings: Sequence[Sequence[int]]) -> Bool[Tensor, " n"]:
    """The tokens of every occurrence of a word, in whichever spelling."""
    n = len(read.tokens)
    found = torch.zeros(n, dtype=torch.bool)
    for spelling in spellings:
        length = len(spelling)
        if length > n:
            continue
        starts = (read.tokens.unfold(0, length, 1) == torch.tensor(list(spelling))).all(dim=1)
        starts &= read.texts[: n - length + 1] == read.texts[length - 1 :]
        for offset in range(length):
            found[offset : offset + len(starts)] |= starts
    return found


def _around(
    found: Bool[Tensor, " n"], texts: Int[Tensor, " n"], before: int, after: int
) -> Bool[Tensor, " n"]:
    wide = found.clone()
    for step in range(1, max(before, after) + 1):
        same = texts[step:] == texts[:-step]
        if step <= before:
            wide[:-step] |= found[step:] & same
        if step <= after:
            wide[step:] |= found[:-step] & same
    return wide
