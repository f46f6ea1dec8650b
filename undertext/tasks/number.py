"""Reading numbers out of text, as exact decimals."""

import re
from decimal import Decimal, InvalidOperation

from undertext.tasks.spans import WORD_CHARACTER

_MINUS = "-\u2212\u2013\uff0d"
"""Hyphen-minus, minus sign, en dash, full-width hyphen-minus."""
_PLUS = "+\uff0b"
_TO_ASCII = str.maketrans({**dict.fromkeys(_MINUS, "-"), **dict.fromkeys(_PLUS, "+"), ",": None})

_NUMBER = re.compile(
    # A sign belongs to the number it touches, unless something before it makes it an operator or a dash.
    rf"(?:(?<!{WORD_CHARACTER})(?<![)\]{_MINUS}])[{_MINUS}{_PLUS}])?"
    r"(?:"
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    r"|(?<![\w.])\.\d+"  # .5, but neither the end of 1..5 nor an ellipsis
    r")"
    r"(?:[eE][+-]?\d+)?"
)
"""Digits are those of any script (`\\d`), which `Decimal` reads too; superscripts are not digits."""


def parse_number(text: str) -> Decimal | None:
    """The number that the whole of `text` is, whitespace around it aside, or None."""
    stripped = text.strip()
    return _decimal(stripped) if _NUMBER.fullmatch(stripped) else None


def last_number(text: str) -> Decimal | None:
    """The last number in `text`, or None where it holds none."""
    found = _NUMBER.findall(text)
    return _decimal(found[-1]) if found else None


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text.translate(_TO_ASCII))
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return None
