"""Partial-prompt completion: does a checkpoint go on with a problem's own text from its first part?

Greedy completion from the first 60% of the text, after Wu et al. (arXiv 2507.10532). A text counts as
completed where the words of the rest come in their order, with nothing before them. Who has not read a
problem may complete it all the same, where texts are alike: what fits other problems' rests is counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.spans import locate

SHOWN = 0.6
"""Share of a text's words that is given."""
MOST_WORDS, MOST_TOKENS = 64, 256
"""Of a long rest the first words count; a rest of more tokens is left out."""
SPARE = 4
"""Tokens that a rest may take more of when it is written than when it is read."""
_WORD = re.compile(r"\S+")
Rest = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Completed:
    """A row a text that can be completed."""

    index: list[int]
    """Index of each row's text."""
    exact: Bool[ndarray, " row"]
    """Whether the checkpoint writes the rest."""
    by_chance: Float[ndarray, " row"]
    """Share of the other texts whose rest it writes."""
    left_out: int
    """Number of texts of fewer than two words, of too long a rest, or without room in the context."""


def first_part(text: str) -> tuple[str, Rest] | None:
    """The first `SHOWN` of a text, in words, and the words of the rest; None of fewer than two words."""
    words = list(_WORD.finditer(text))
    shown = int(SHOWN * len(words))
    if not shown:
        return None
    return text[: words[shown - 1].end()], tuple(w.group() for w in words[shown : shown + MOST_WORDS])


def completed(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    *,
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Completed:
    """Let the checkpoint complete every text."""
    rows: list[tuple[int, list[int], Rest, int]] = []
    for i, text in enumerate(texts):
        parts = first_part(text)
        if parts is None:
            continue
        head, rest = parts
        ids, whole = (locate(checkpoint, each).ids for each in (head, f"{head} {' '.join(rest)}"))
        needed = max(1, len(whole) - len(ids)) + SPARE
        if needed <= MOST_TOKENS and len(ids) + needed <= checkpoint.n_ctx:
            rows.append((i, ids, rest, needed))
    limit = max((needed for *_, needed in rows), default=0)
    rows = [row for row in rows if len(row[1]) + limit <= checkpoint.n_ctx]
    rests = [rest for _, _, rest, _ in rows]
    written: list[list[str]] = []
    if rows:
        out = generate(
            checkpoint,
            [ids for _, ids, _, _ in rows],
            max_new_tokens=limit,
            batch_size=batch_size,
            progress=progress,
        )
        written = [text.split() for text in out.texts]
    exact = np.array([_begins(words, rest) for words, rest in zip(written, rests, strict=True)], bool)
    return Completed([i for i, *_ in rows], exact, _by_chance(written, rests), len(texts) - len(rows))


def _begins(words: Sequence[str], rest: Rest) -> bool:
    return tuple(words[: len(rest)]) == rest


def _by_chance(written: Sequence[Sequence[str]], rests: Sequence[Rest]) -> Float[ndarray, " row"]:
    counts = Counter(rests)
    lengths = sorted({len(rest) for rest in counts})
    found = np.zeros(len(written))
    for i, (words, own) in enumerate(zip(written, rests, strict=True)):
        fits = sum(counts[tuple(words[:n])] for n in lengths if n <= len(words))
        found[i] = (fits - _begins(words, own)) / max(1, len(rests) - 1)
    return found
