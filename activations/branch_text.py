"""From places in a text to branches that continue it there."""

from collections.abc import Sequence
from typing import Literal

from undertext.activations.branch_tree import Branch
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.spans import locate

Tokenized = Literal["in context", "alone"]
"""Whether a continuation's tokens are those of the text it makes with what stands before it, or its own."""


def branches_at(
    checkpoint: Checkpoint,
    text: str,
    offsets: Sequence[int],
    continuation: str,
    *,
    tokenized: Tokenized = "in context",
) -> list[Branch]:
    """`continuation` after the first `offset` characters of `text`, for each offset.

    The branches continue `checkpoint.encode([text])[0]`, so `text` can be given as their trunk.

    `in context` (the default): the tokens are those of `text[:offset] + continuation`, which is what the
    model would have been given had the text been written so. All tokens that end past the offset are
    scored; one that holds characters from both sides of it is scored whole. Where the end of
    `text[:offset]` makes other tokens than it does inside the text, they are read and not scored
    (`Branch.given`). The right choice for a gold answer after each step: the same characters are scored
    everywhere, as the same tokens too wherever steps end at a boundary between tokens.

    `alone`: the tokens of the continuation by itself, special tokens left out, the same at every offset;
    for continuations such as a label that is a token of its own. Many tokenizers begin a text as after a
    space, so that "42" alone is not what stands in "= 42" or in "=42". The characters before the offset are
    tokenized by themselves, and read to the last.

    Raises:
        UserError: for an offset outside the text or before which there is no token, for a continuation
            that has no tokens, and when the tokenizer cannot say where its tokens are.
    """
    located = locate(checkpoint, text)
    trunk = located.ids
    opening = [token for token, (_, end) in zip(trunk, located.offsets, strict=True) if end == 0]
    branches = []
    for offset in offsets:
        if not 0 <= offset <= len(text):
            raise UserError(
                f"expected offsets from 0 to {len(text)}, the characters of the text, got {offset}"
            )
        before, after = _split(checkpoint, text[:offset], continuation, tokenized)
        before = before or opening
        if not after:
            raise UserError(f"{checkpoint.name}: the continuation {continuation!r} has no tokens")
        if not before:
            raise UserError(
                f"{checkpoint.name} has no token that ends by character {offset} of {text[:60]!r}"
            )
        at = _shared(trunk, before)
        branches.append(Branch(at, [*before[at:], *after], given=len(before) - at))
    return branches


def _split(
    checkpoint: Checkpoint, prefix: str, continuation: str, tokenized: Tokenized
) -> tuple[list[int], list[int]]:
    """Token ids to read, and those to score."""
    if tokenized == "alone":
        own = checkpoint.tokenizer(continuation, add_special_tokens=False, verbose=False)["input_ids"]
        return locate(checkpoint, prefix).ids, list(own)
    located = locate(checkpoint, prefix + continuation)
    ids = located.ids
    read = next((i for i, (_, end) in enumerate(located.offsets) if end > len(prefix)), len(ids))
    return ids[:read], ids[read:]


def _shared(trunk: Sequence[int], ids: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = zip(trunk, ids, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(trunk), len(ids)))
