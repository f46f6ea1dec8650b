"""Which tokens of each prompt are meant."""

from collections.abc import Sequence
from typing import Literal

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import is_whole
from undertext.activations.errors import UserError, shown
from undertext.activations.spans import Located, TextSpan, TokenSpan, locate, tokens_holding

TokenSelector = int | TokenSpan | TextSpan
"""A token of a prompt by its index (negative ones count from the end), a run of tokens, or those of text."""
Positions = Literal["last", "all"] | Sequence[TokenSelector | Sequence[TokenSelector]]
"""Which tokens of each prompt: its last one, all of them, or for each prompt a span or a list of places,
in the order wanted (the lists may differ in length)."""


def resolve(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    encoded: Sequence[Sequence[int]],
    positions: Positions,
) -> list[list[int]]:
    """The chosen token indices of each prompt, from 0.

    Raises:
        UserError: naming the prompt, for an index or span it does not have, a text span in a prompt
            that is not text or that no token holds, and when there is not one entry for each prompt.
    """
    if isinstance(positions, str):
        if positions == "last":
            return [[len(ids) - 1] for ids in encoded]
        if positions == "all":
            return [list(range(len(ids))) for ids in encoded]
        raise UserError(
            f"positions must be 'last', 'all', or a span or list of places for each prompt, got {positions!r}"
        )
    if not isinstance(positions, Sequence):
        raise UserError(
            f"positions must be 'last', 'all', or a span or list of places for each prompt, got "
            f"{shown(repr(positions), 60)}"
        )
    if len(positions) != len(prompts):
        raise UserError(f"expected positions for each of {len(prompts)} prompts, got {len(positions)}")
    found = []
    for row, (chosen, prompt, ids) in enumerate(zip(positions, prompts, encoded, strict=True)):
        if is_whole(chosen):
            raise UserError(f"prompt {row}: expected a list of places or a span, got the number {chosen}")
        if not isinstance(chosen, TokenSpan | TextSpan | Sequence) or isinstance(chosen, str):
            raise UserError(
                f"prompt {row}: expected a list of places or a span, got {shown(repr(chosen), 60)}"
            )
        places = [chosen] if isinstance(chosen, TokenSpan | TextSpan) else list(chosen)
        located = None
        if any(isinstance(place, TextSpan) for place in places):
            if not isinstance(prompt, str):
                raise UserError(f"prompt {row} is given as token ids: a TextSpan needs its text")
            located = locate(checkpoint, prompt)
        found.append([index for place in places for index in _indices(place, row, len(ids), located)])
    return found


def _indices(place: TokenSelector, row: int, length: int, located: Located | None) -> list[int]:
    ends = (place.start, place.end) if isinstance(place, TokenSpan | TextSpan) else (place,)
    if not all(end is None or is_whole(end) for end in ends):
        raise UserError(
            f"prompt {row}: a place is a whole number, or a span of such, got {shown(repr(place), 60)}"
        )
    if isinstance(place, TextSpan):
        assert located is not None
        held = tokens_holding(located, place)
        if not held:
            raise UserError(
                f"prompt {row}: no token holds any of its characters {place.start} to {place.end}"
            )
        return held
    if isinstance(place, TokenSpan):
        end = length if place.end is None else place.end
        start, end = (at + length if at < 0 else at for at in (place.start, end))
        if not 0 <= start < end <= length:
            raise UserError(
                f"prompt {row} has {length} tokens: there is no span from {place.start} to {place.end} in it"
            )
        return list(range(start, end))
    if not -length <= place < length:
        raise UserError(f"prompt {row} has {length} tokens: there is no position {place} in it")
    return [place % length]
