"""The numbers that a text says, each whole, however it is written: `9{,}500`, `1/2`, `3 x 10^5`, `- 5`.

A part of a number is no number: neither the 500 of `9{,}500`, nor a denominator, nor an exponent. What looks
like a number and is none (a date, a time, a version) is found as well, with the value None, so that no part
of it counts.
"""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from undertext.tasks.spans import WORD_CHARACTER

_MINUS = "-\u2212\u2013\uff0d"
"""Hyphen-minus, minus sign, en dash, full-width hyphen-minus."""
_PLUS = "+\uff0b"
_TO_ASCII = str.maketrans({**dict.fromkeys(_MINUS, "-"), **dict.fromkeys(_PLUS, "+"), ",": None})
_MOST_DIGITS = 40
"""Longest numerator, denominator or power that is worked out: longer ones cost time without bound."""
_MOST_EXPONENT = 400
_LONGEST_KEPT = 1_000
"""Longest text whose numbers are kept: those of a task's steps are asked for again and again."""
_LOOK_BACK = 40
"""Characters before a sign that are looked at: all of them would take quadratic time."""

# A sign belongs to the number it touches, unless something before it makes it an operator or a dash.
_TOUCHING_SIGN = rf"(?<!{WORD_CHARACTER})(?<![)\]}}{_MINUS}])[{_MINUS}{_PLUS}]"
_STRICT = re.compile(
    rf"(?:(?<!{WORD_CHARACTER})(?<![)\]{_MINUS}])[{_MINUS}{_PLUS}])?"
    r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
)
"""Digits are those of any script (`\\d`), which `Decimal` reads too; superscripts are not digits."""

_SPACES = " \u00a0\u2009\u202f"
_SEPARATOR = rf"\{{,\}}|\\[,;]|[,.'\u2019_{_SPACES}]"
_TIGHT = r"\d+(?:(?:\{,\}|\\[,;]|[,.])\d+)*"
"""Digits and what may separate them, but for spaces."""
_EXPONENT = rf"\{{?\(?[{_MINUS}{_PLUS}]?\d+\)?\}}?"
_SUPERSCRIPTS = dict(
    zip("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b", "0123456789-", strict=True)
)
_VULGAR = "\u00bc-\u00be\u2150-\u215e\u2189"

_TOKEN = re.compile(
    # No number of its own: what stands after ^ or after a letter's _ or **.
    rf"(?P<skip>\^{_EXPONENT}|(?<=[A-Za-z)}}\]])(?:_\{{?\d+\}}?|\*\*[{_MINUS}]?\d+(?!\*\*)))"
    rf"|(?P<sign>(?:{_TOUCHING_SIGN}|[{_MINUS}{_PLUS}] +)(?:\\?[$\u20ac\u00a3\u00a5])?)?(?:"
    r"(?P<none>\d{4}-\d{1,2}-\d{1,2}(?!\d)|\d+(?::\d+)+|\d+(?:/\d+){2,})"
    r"|(?P<hex>0[xX][0-9a-fA-F]+)"
    rf"|(?:(?P<before>\d+)\s?)?\\[dt]?frac\s*(?:\{{\s*(?P<over>{_TIGHT})\s*\}}\s*\{{\s*(?P<under>{_TIGHT})\s*\}}"
    r"|(?P<over1>\d)(?P<under1>\d))"
    rf"|(?:(?P<units>\d+)[{_SPACES}])?(?P<a>{_TIGHT})(?P<slash> ?[/\u2044] ?)(?P<b>{_TIGHT})"
    rf"|(?:(?P<whole>\d+)[{_SPACES}]?)?(?P<vulgar>[{_VULGAR}])"
    rf"|(?P<run>\d+(?:(?:{_SEPARATOR})\d+)*|(?<![\w.])\.\d+)(?P<e>[eE][+-]?\d+(?![\w]))?"
    r")"
)
_TIMES_TEN = re.compile(
    rf"\s?(?:[xX\u00d7\u00b7*\u22c5]|\\times|\\cdot)\s?10(?:(?:\^|\*\*)(?P<to>{_EXPONENT})|(?P<sup>[{''.join(_SUPERSCRIPTS)}]+))"
)
_POWER = re.compile(rf"(?:\^|\*\*(?!\D))(?P<to>{_EXPONENT})|(?P<sup>[{''.join(_SUPERSCRIPTS)}]+)")
_PERCENT = re.compile(r"\s?\\?[%\uff05]")
_WORD = re.compile(WORD_CHARACTER)
_UNARY_AFTER = "=<>\u2264\u2265\u2248\u2192({[:,;$|*/\u00d7\u00b7"
"""After these, and at a text's start, a sign with a space behind it is the number's."""


class Number(NamedTuple):
    """A number in a text: `text[start:end]`, sign and percent sign with it.

    Where it can be read in two ways (`50%`), there are two that end at the same place.
    """

    start: int
    end: int
    value: Decimal | Fraction | None
    """None where it is no number as a whole."""
    glued: bool = False
    """Whether a letter follows at once: `3x`, `12cm`, `3rd`."""
    named: bool = False
    """Whether a letter stands right before it, as in a name: `x3`."""
    stated: bool = True
    """False for what must be worked out first: `48/2`, `2^10`."""
    part: bool = False
    """Whether it is only a side of the fraction around it: the 2 of `48 / 2`."""


def parse_number(text: str) -> Decimal | None:
    """The number that the whole of `text` is, whitespace around it aside, or None.

    Only the plainest forms: digits with thousands commas, a decimal point, an exponent, a touching sign.
    """
    stripped = text.strip()
    return _decimal(stripped) if _STRICT.fullmatch(stripped) else None


def numbers_in(text: str) -> list[Number]:
    """Every number in `text`, in order of where each starts."""
    return list(_kept(text) if len(text) <= _LONGEST_KEPT else _numbers(text))


@lru_cache(maxsize=10_000)
def _kept(text: str) -> tuple[Number, ...]:
    return tuple(_numbers(text))


def _numbers(text: str) -> list[Number]:
    found: list[Number] = []
    at = 0
    while match := _TOKEN.search(text, at):
        at = match.end()
        if match["skip"] is not None:
            continue
        start, negative = _signed(text, match)
        numbers, at = _read(text, match)
        for number in numbers:
            first = start if number.start == _body(match) else number.start
            value = (
                -number.value if negative and number.value is not None and first == start else number.value
            )
            glued = _WORD.match(text, number.end) is not None
            named = first > 0 and _WORD.match(text, first - 1) is not None
            found.append(number._replace(start=first, value=value, glued=glued, named=named))
    return sorted(found, key=lambda number: (number.start, -number.end))


def _body(match: re.Match[str]) -> int:
    return match.start() + len(match["sign"] or "")


def _signed(text: str, match: re.Match[str]) -> tuple[int, bool]:
    """Where the number starts, with its sign if the sign is its own, and whether it is below zero."""
    sign = match["sign"]
    if not sign:
        return match.start(), False
    if " " in sign:
        before = text[max(0, match.start() - _LOOK_BACK) : match.start()].rstrip()[-1:]
        # A text's "- 5 apples" is an item of a list; "- 5" alone is a number.
        alone = match.start() < _LOOK_BACK and not text[match.end() :].strip(" .$})]*\n")
        own = before in _UNARY_AFTER if before else alone
        if not own:
            return _body(match), False
    return match.start(), sign[0] in _MINUS


def _read(text: str, match: re.Match[str]) -> tuple[list[Number], int]:
    """The numbers of one match, as if without a sign, and where to look on."""
    start, end = _body(match), match.end()
    if match["none"] is not None:
        return [Number(start, end, None)], end
    if match["hex"] is not None:
        digits = match["hex"][2:]
        return [Number(start, end, Decimal(int(digits, 16)) if len(digits) <= _MOST_DIGITS else None)], end
    if match["vulgar"] is not None:
        over, under = unicodedata.normalize("NFKC", match["vulgar"]).split("\u2044")
        return [Number(start, end, _ratio(match["whole"], over or "0", under))], end
    if match["over"] is not None or match["over1"] is not None:
        over, under = match["over"] or match["over1"], match["under"] or match["under1"]
        return [Number(start, end, _ratio(match["before"], over, under))], end
    if match["slash"] is not None:
        return _fraction(match), end
    return _plain(text, match)


def _fraction(match: re.Match[str]) -> list[Number]:
    over, under, units = match["a"], match["b"], match["units"]
    value = _ratio(units, over, under)
    reduced = isinstance(value, Fraction) and str(value.denominator) == under
    whole = Number(_body(match), match.end(), value, stated=reduced and not match["slash"].strip("/\u2044"))
    if match["slash"] in "/\u2044":
        return [whole]
    sides = [Number(match.start(name), match.end(name), _only(match[name]), part=True) for name in ("a", "b")]
    return [whole, *sides]


def _ratio(units: str | None, over: str, under: str) -> Fraction | None:
    parts = [_only(part) for part in (units or "0", over, under)]
    if any(part is None or len(str(part)) > _MOST_DIGITS for part in parts) or not parts[2]:
        return None
    whole, above, below = (Fraction(part) for part in parts if part is not None)
    return whole + above / below


def _only(digits: str) -> Decimal | None:
    read = _grouped(digits)
    return read if read is not None else _decimal(digits.replace(",", ""))


def _plain(text: str, match: re.Match[str]) -> tuple[list[Number], int]:
    """Digits with whatever separates them, and a power or a percent sign after them."""
    start, run = _body(match), match["run"]
    numbers = [Number(start + a, start + b, value) for a, b, value in _pieces(run)]
    if match["e"]:
        *numbers, last = numbers
        joined = None if last.value is None else _decimal(f"{last.value}{match['e']}")
        numbers.append(last._replace(end=match.end(), value=joined))
    last, end = numbers[-1], match.end()
    if last.value is not None and isinstance(last.value, Decimal):
        if power := _TIMES_TEN.match(text, end):
            numbers[-1] = last._replace(end=power.end(), value=_scaled(last.value, _exponent(power)))
            return numbers, power.end()
        if power := _POWER.match(text, end):
            value = _raised(last.value, _exponent(power))
            numbers[-1] = last._replace(end=power.end(), value=value, stated=False)
            return numbers, power.end()
        if percent := _PERCENT.match(text, end):
            share = Number(last.start, percent.end(), _scaled(last.value, -2))
            return [*numbers[:-1], last._replace(end=percent.end()), share], percent.end()
    return numbers, end


def _exponent(power: re.Match[str]) -> int:
    written = power["to"] or "".join(_SUPERSCRIPTS[c] for c in power["sup"])
    digits = written.strip("{()}").translate(_TO_ASCII)
    try:
        return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
    except ValueError:  # superscripts such as a lone minus
        return 10**_MOST_DIGITS


def _scaled(value: Decimal, by: int) -> Decimal | None:
    if abs(by) > _MOST_EXPONENT:
        return None
    sign, digits, exponent = value.as_tuple()
    return Decimal((sign, digits, int(exponent) + by))  # exact, whatever the digits


def _raised(value: Decimal, to: int) -> Fraction | None:
    if abs(to) > _MOST_EXPONENT or len(str(value)) > _MOST_DIGITS or (value == 0 and to <= 0):
        return None
    return Fraction(value) ** to


def _pieces(run: str) -> Iterator[tuple[int, int, Decimal | None]]:
    """The numbers of a run of digits and separators: the run as one, or else what stands between them."""
    whole = _grouped(run)
    if whole is not None:
        yield 0, len(run), whole
        # 101,103,107 may be a list of numbers of three digits; 1,234 and 1,234,567 are one number.
        if not re.fullmatch(r"[1-9]\d\d(?:,\d{3}){2,}", run):
            return
    for separator in (f"[{_SPACES}]", r"['\u2019_]", r"\\;", ","):
        if len(parts := re.split(f"({separator})", run)) > 1:
            at = 0
            for part in parts:
                if part[:1].isdigit():
                    yield from ((at + a, at + b, value) for a, b, value in _pieces(part))
                at += len(part)
            return
    if whole is None:
        yield 0, len(run), None


def _grouped(run: str) -> Decimal | None:
    """The number that the run is as a whole; None where its separators make none."""
    digits = re.split(f"(?:{_SEPARATOR})", run)
    marks = re.findall(_SEPARATOR, run)
    if not marks or digits[0] == "":
        return _decimal(run)
    kinds = ["," if mark == "{,}" else mark for mark in marks]
    group, last = kinds[0], kinds[-1]
    even = 1 <= len(digits[0]) <= 3 and digits[0][0] != "0" and all(len(part) == 3 for part in digits[1:-1])
    if len(set(kinds)) == 1 and even and len(digits[-1]) == 3 and (group != "." or len(kinds) > 1):
        return _decimal("".join(digits))
    if last in ",." and even and len(set(kinds[:-1])) == 1 and group != last:
        return _decimal("".join(digits[:-1]) + "." + digits[-1])
    if len(kinds) == 1 and last in ",.":
        return _decimal(".".join(digits))
    return None


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text.translate(_TO_ASCII))
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return None
