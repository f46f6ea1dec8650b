r"""Which number of an output is its answer: the last one that it gives, in digits or in words.

What a bracket adds to an answer ("42 (rounded from 41.7)", "7 (see eq. 3)") is no answer, nor is a number
of what is still to be worked out (`2\sqrt{3}`, `log(8)`), which is no number as a whole. A number in words
counts where no digits come after it and it is said as an answer: after "is", at the end, or alone.
"""

import re
from bisect import bisect_right
from decimal import Decimal
from fractions import Fraction

from undertext.tasks.number_words import is_lone_one, worded_numbers
from undertext.tasks.numbers import Number, numbers_in

_ASIDE = re.compile(
    r"(?i)\(\s*(?:see|cf|from|by|using|rounded|rounding|truncated|up from|down from|not|instead of|was|"
    r"rather than|previously|formerly|compare|as in|per|eqs?|eqn|equations?|figs?|figures?|tables?|sections?|"
    r"sec|steps?|lines?|pages?|pp?|notes?|refs?|references?)\b[^()\n]{0,200}\)"
)
_SAID = re.compile(
    r"(?i)(?:\b(?:is|are|was|be|equals|makes|gives|answer|total)\b|[=:\uff1a\u662f\u4e3a])[\s*_\"'$]*"
)
_END = re.compile(r"[\s.!?*_\"')\]}$]*")
_LOOK_BACK = 20
_TIMES = r"(?:\d[\d.,]*\s?(?:[*\u00b7\u00d7]|\\cdot|\\times)?\s?)?"
_UNWORKED = re.compile(
    rf"(?<![\w.,]){_TIMES}(?:"
    r"\\sqrt(?:\[\d+\])?\s*(?:\{[^{}\n]{0,40}\}|\d)|[\u221a\u221b]\s?\(?\d[\d.,]*\)?"
    r"|(?<![A-Za-z])\\?(?:(?:sqrt|cbrt|log|ln|exp|sin|cos|tan)(?:_\{?\d+\}?)?\s?|(?:abs|floor|ceil|round)(?=\())"
    r"[({]\s?[^(){}\n]{0,40}[)}])"
    r"|(?<![\w.,])\d[\d.,]*\s?(?:\u03c0|\\?pi(?![A-Za-z]))"
)


def asides_in(text: str) -> list[tuple[int, int]]:
    """From where to where a bracket adds to an answer and gives none."""
    return [match.span() for match in _ASIDE.finditer(text)]


def unworked_in(text: str) -> list[tuple[int, int]]:
    """From where to where a root, a function or a multiple of pi stands, its factor with it."""
    return [match.span() for match in _UNWORKED.finditer(text)]


def within(spans: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether one of `spans`, in order and apart from each other, holds all from `start` to `end`."""
    place = bisect_right(spans, start, key=lambda span: span[0]) - 1
    return place >= 0 and end <= spans[place][1]


def given_numbers(text: str) -> list[Number]:
    """The numbers of `text` that may be its answer, in order of where each ends; the last is the answer."""
    own = [number for number in numbers_in(text) if not (number.part or _in_a_name(text, number))]
    unworked = unworked_in(text)
    own = [number for number in own if not within(unworked, number.start, number.end)]
    digits = sorted([*own, *(Number(*span, None) for span in unworked)], key=lambda n: (n.end, n.start))
    asides = asides_in(text)
    given = [n for n in digits if not within(asides, n.start, n.end)]
    end = max((n.end for n in given), default=0)
    words = [n for n in worded_numbers(text[end:]) if _answers(text[end:], n, alone=not digits)]
    return [*given, *(n._replace(start=end + n.start, end=end + n.end) for n in words)]


def last_numbers(text: str) -> frozenset[Decimal | Fraction]:
    """What the last number in `text` may be read as: nothing where there is none, or it is a date."""
    given = given_numbers(text)
    end = max((number.end for number in given), default=0)
    return frozenset(n.value for n in given if n.end == end and n.value is not None)


def _in_a_name(text: str, number: Number) -> bool:
    """Whether one letter stands right before the number, and no other: `x3`, `Q1`."""
    return number.named and not text[max(0, number.start - 2) : number.start - 1].isalpha()


def _answers(text: str, number: Number, *, alone: bool) -> bool:
    """Whether a number in words is said as an answer; `alone`: no digits are in the output."""
    before = text[max(0, number.start - _LOOK_BACK) : number.start]
    said = any(match.end() == len(before) for match in _SAID.finditer(before))
    last = _END.fullmatch(text, number.end) is not None
    if is_lone_one(text, number):
        return last and (said or not before.strip())
    return alone or said or last
