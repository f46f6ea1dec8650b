"""From places in text to tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError


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


@dataclass(frozen=True)
class Located:
    """A text's tokens, and the characters each of them holds."""

    text: str
    ids: list[int]
    """As `Checkpoint.encode` gives them."""
    own: list[bool]
    """Whether a token is of the text itself, and not put before it by the tokenizer."""
    offsets: list[tuple[int, int]]
    """From which character, up to which, as the tokenizer says; (0, 0) for what it put before the text."""

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """The same without white space at the ends, where there is anything else."""
        return [_trim(self.text, *each) for each in self.offsets]


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
        text,
        add_special_tokens=checkpoint.special_tokens,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        verbose=False,
    )
    kept = checkpoint.added.kept(encoded["input_ids"])
    own = [not special for special in encoded["special_tokens_mask"]][kept]
    offsets = list(encoded["offset_mapping"])[kept]
    return Located(text, list(encoded["input_ids"])[kept], own, offsets)


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
