"""What a text says after some words: each value, with its place.

A value is said in one piece (`b = 5`), or at the end of a calculation: of `b = 2 * 6 = 12 mod 7 = 5` the last
link is what `b` comes to, and a calculation without a result (`b = 2 * 6`) says no value.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from undertext.measures.trace.stated import Value, Words, pieces_of
from undertext.tasks.numbers import Number, numbers_in
from undertext.tasks.steps import Span

Places = list[tuple[int, Value]]
"""Values that are said, each with the character at which it stands."""

_GAP = r"[^\S\n]*"
"""A calculation does not go on over the end of a line: a sign that begins a line may be a list's."""
_SIGN = re.compile(
    rf"{_GAP}(?:[+*/^%\u00d7\u00b7\u00f7]|\\times|\\cdot|(?:mod|plus|times|minus)\b|x(?={_GAP}\d)){_GAP}"
)
_DASH = re.compile(rf"{_GAP}(?P<dash>[-\u2212\u2013]){_GAP}")
_UNIT = re.compile(rf"{_GAP}[^\W\d_]{{2,30}}(?={_GAP}[-+*/\u2212\u2013\u00d7\u00b7\u00f7])")
_UNIT_AT_END = re.compile(rf"{_GAP}[^\W\d_]{{2,30}}(?={_GAP}=)")
"""After the number itself a word before `=` is a name: `a = 5 cost = 3`."""
_EQUALS = re.compile(rf"{_GAP}[=\u2261]{_GAP}")
_MODULO = re.compile(rf"{_GAP}\({_GAP}mod\b[^()\n]{{0,40}}\)")
_NAME, _LETTER = re.compile(r"[^\W\d_]\w*"), re.compile(r"[^\W\d_](?:_?\d+)?(?!\w)")
_SPACE = re.compile(r"\s*")
_MOST_OPERANDS = 30
"""Longest calculation that is followed: longer ones cost time without bound, and say no value."""
_BRACKETS = re.compile(r"\([^()\n]{0,200}\)")


def values_after(
    text: str,
    words: Words,
    *,
    among: Collection[Value] = (),
    without: tuple[int, int] | None = None,
    worked_out: bool = True,
) -> Places:
    """Every value that follows these words, in order; numbers, and of other values those `among` these.

    What stands in the characters `without` does not count. With `worked_out` a calculation counts by its last
    link, otherwise by the number that stands first.
    """
    text, numbers, pieces = _read(text)
    texts = sorted((value for value in among if isinstance(value, str)), key=lambda value: -len(value))
    places = (_value_at(text, end, numbers, texts, worked_out) for end in _ends(pieces, words))
    return [
        (span.start, value)
        for span, value in filter(None, places)
        if without is None or not (span.start < without[1] and without[0] < span.end)
    ]


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[str, Mapping[int, Number], list[tuple[str, int]]]:
    """A text in lower case, its numbers by where they start, and its words and signs: asked for again and
    again, with other words."""
    text = text.lower()
    return text, {number.start: number for number in numbers_in(text)}, list(pieces_of(text))


def _ends(pieces: Sequence[tuple[str, int]], words: Words) -> Iterator[int]:
    """Where each place at which these words stand one after another ends."""
    for k in range(len(pieces) - len(words) + 1):
        if all(piece == word for (piece, _), word in zip(pieces[k : k + len(words)], words, strict=True)):
            yield pieces[k + len(words) - 1][1]


def _value_at(
    text: str, end: int, numbers: Mapping[int, Number], texts: Sequence[str], worked_out: bool
) -> tuple[Span, Value] | None:
    """The value that stands right after a place, and where; None where none does."""
    start = _space_ends(text, end)
    for value in texts:
        if text.startswith(value, start) and not text[start + len(value) : start + len(value) + 1].isalnum():
            return Span(start, start + len(value)), value
    if worked_out:
        return _worked_out(text, start, numbers)
    number = numbers.get(start)
    if number is None or number.value is None:
        return None
    return Span(number.start, number.end), number.value


def _space_ends(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _worked_out(text: str, start: int, numbers: Mapping[int, Number]) -> tuple[Span, Value] | None:
    """The number that the last link of `6 * 2 = 12 = ...` is; None where that is no number by itself."""
    found, at, left = None, start, _MOST_OPERANDS
    while (operand := _operand(text, at, numbers)) is not None:
        end, number = operand
        while (after := _next_operand(text, end, numbers)) is not None:
            end, number, left = after, None, left - 1
            if not left:
                return None
        unit = _UNIT_AT_END.match(text, end) if number is None else None
        after_unit = end if unit is None else unit.end()
        modulo = _MODULO.match(text, after_unit)
        found = None
        if number is not None and number.value is not None and number.stated:
            found = Span(number.start, number.end), number.value
        equals = _EQUALS.match(text, after_unit if modulo is None else modulo.end())
        left -= 1
        if equals is None or not left:
            return found if left else None
        at = equals.end()
    return found


def _operand(text: str, at: int, numbers: Mapping[int, Number]) -> tuple[int, Number | None] | None:
    """Where a number, a name or what stands in brackets ends, and the number; None where none of these
    stands at a place."""
    number = numbers.get(at)
    if number is not None:
        return number.end, number
    other = _NAME.match(text, at) or _BRACKETS.match(text, at)
    return None if other is None else (other.end(), None)


def _next_operand(text: str, end: int, numbers: Mapping[int, Number]) -> int | None:
    """Where the operand of a sign that follows ends; None where no sign and operand follow.

    After a dash a word of several letters is no operand: it begins what is said next.
    """
    unit = _UNIT.match(text, end)
    end = end if unit is None else unit.end()
    if (sign := _SIGN.match(text, end)) is not None:
        operand = _operand(text, sign.end(), numbers)
        return None if operand is None else operand[0]
    if (dash := _DASH.match(text, end)) is None:
        return None
    number = numbers.get(dash.start("dash")) or numbers.get(dash.end())  # a dash may be the number's own
    if number is not None:
        return number.end
    other = _LETTER.match(text, dash.end()) or _BRACKETS.match(text, dash.end())
    return None if other is None else other.end()
