"""Token shift: how likely the base finds each token that the tuned checkpoint writes.

The base reads the prompt and the tuned checkpoint's own output, and each token of the output has a rank among
all tokens there: 1 unshifted, 2 or 3 marginal, above 3 shifted (Lin et al., arXiv 2312.01552).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.forced import forced
from undertext.measures.trace.output_tokens import placed
from undertext.tasks.task import Problem

UNSHIFTED, MARGINAL, SHIFTED = "unshifted", "marginal", "shifted"
KINDS = (UNSHIFTED, MARGINAL, SHIFTED)
MOST_MARGINAL = 3
"""Largest rank that is marginal."""


@dataclass(frozen=True, eq=False)
class Shift:
    """Of each output, token by token."""

    words: list[list[str]]
    """The tokens, as text."""
    ranks: list[list[int]]
    """Rank of each under the base."""

    def shares(self, output: int) -> dict[str, float] | None:
        """Share of one output's tokens of each kind; None of an output without tokens."""
        ranks = self.ranks[output]
        if not ranks:
            return None
        return {kind: sum(shift_of(rank) == kind for rank in ranks) / len(ranks) for kind in KINDS}


def shift_of(rank: int) -> str:
    """The kind of a rank."""
    return UNSHIFTED if rank == 1 else MARGINAL if rank <= MOST_MARGINAL else SHIFTED


def token_shift(
    base: Checkpoint,
    problems: Sequence[Problem],
    outputs: Sequence[str],
    *,
    progress: Callable[[int], None] | None = None,
) -> Shift:
    """Read every output after its prompt with the base. Tokens beyond the context are left out.

    Outputs are read in the base's own tokens: for a tuned checkpoint of another tokenizer the ranks would be
    those of tokens that it never wrote, and the caller must not ask.
    """
    at = placed(base, problems, outputs)
    found = forced(base, at.ids, at.places)
    if progress is not None:
        progress(len(problems))
    words = [
        [base.decode([ids[place]], start=False) for place in own]
        for ids, own in zip(at.ids, at.places, strict=True)
    ]
    return Shift(words, found.ranks)


def shifted_words(shift: Shift) -> list[tuple[str, int, int, float]]:
    """Each token with how often it stands, how often it is shifted, and its mean rank; most shifted first."""
    ranks: dict[str, list[int]] = {}
    for words, own in zip(shift.words, shift.ranks, strict=True):
        for word, rank in zip(words, own, strict=True):
            ranks.setdefault(word, []).append(rank)
    rows = [
        (word, len(each), sum(rank > MOST_MARGINAL for rank in each), sum(each) / len(each))
        for word, each in ranks.items()
    ]
    return sorted(rows, key=lambda row: (-row[2], -row[1], row[0]))
