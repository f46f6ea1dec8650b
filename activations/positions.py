"""Which tokens of each prompt are meant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import is_whole
from undertext.activations.errors import UserError, shown


@dataclass(frozen=True)
class TokenSpan:
    """The tokens from `start` up to, not with, `end`; negative numbers count from the prompt's end."""

    start: int
    end: int | None = None
    """None: to the prompt's last token."""


@dataclass(frozen=True)
class TextSpan:
    """The tokens that hold any of a prompt's characters from `start` up to, not with, `end`.

    White space at a token's ends does not count as held, unless the token is nothing else, and tokens
    that the tokenizer added around the text hold none of it.
    """

    start: int
    end: int

    @classmethod
    def find(cls, text: str, part: str) -> "TextSpan":
        """Where `part` first stands in `text`; UserError when it does not."""
        at = text.find(part)
        if at < 0 or not part:
            raise UserError(f"{part!r} is not in {text[:60]!r}")
        return cls(at, at + len(part))


class Located(NamedTuple):
    """A text's tokens, and the characters each of them holds."""

    ids: list[int]
    """As `Checkpoint.encode` gives them."""
    own: list[bool]
    """Whether a token is of the text itself, and not put before it by the tokenizer."""
    offsets: list[tuple[int, int]]
    """From which character, up to which, as the tokenizer says; (0, 0) for what it put before the text."""
    spans: list[tuple[int, int]]
    """The same without white space at the ends, where there is anything else."""


def locate(checkpoint: Checkpoint, text: str) -> Located:
    """The tokens of `text` and where they are in it.

    Raises UserError when the tokenizer cannot say (only `tokenizers`-backed ones can).
    """
    if not checkpoint.tokenizer.is_fast:
        kind = type(checkpoint.tokenizer).__name__
        raise UserError(
            f"places inside a text need a fast tokenizer (tokenizer.json); {checkpoint.name} has {kind}"
        )
    encoded = checkpoint.tokenizer(
        text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False
    )
    kept = checkpoint.added.kept(encoded["input_ids"])
    own = [not special for special in encoded["special_tokens_mask"]][kept]
    offsets = list(encoded["offset_mapping"])[kept]
    return Located(list(encoded["input_ids"])[kept], own, offsets, [_trim(text, *each) for each in offsets])


def tokens_before(checkpoint: Checkpoint, text: str, offsets: Sequence[int]) -> tuple[list[int], list[int]]:
    """Token ids of `text`, and for each character offset the index of the last token ended by then.

    White space at a token's end does not count, and what the tokenizer puts after the text is no token
    of it. Raises UserError as `locate` does, and when no token ends that early.
    """
    located = locate(checkpoint, text)
    found = []
    for offset in offsets:
        # A token of nothing but white space ends, for one who reads on, where it starts.
        before = [
            i
            for i, (start, end) in enumerate(located.spans)
            if (end if text[start:end].strip() else start) <= offset
        ]
        if not before:
            raise UserError(
                f"{checkpoint.name} has no token that ends by character {offset} of {text[:60]!r}"
            )
        found.append(before[-1])
    return located.ids, found


def tokens_holding(located: Located, span: TextSpan) -> list[int]:
    """Indices of the tokens that hold characters of `span`, in order; there may be none."""
    return [
        i
        for i, (mine, (start, end)) in enumerate(zip(located.own, located.spans, strict=True))
        if mine and start < span.end and end > span.start
    ]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    held = text[start:end]
    solid = held.strip()
    if not solid:
        return start, end
    start += len(held) - len(held.lstrip())
    return start, start + len(solid)


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
