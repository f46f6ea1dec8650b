"""Figures and model text as the page shows them."""

import unicodedata
from collections.abc import Mapping
from math import isfinite
from typing import Any

from undertext.core.statistics import Estimate

NOTHING = "\u2013"  # en dash
_MINUS = "\u2212"
_DIRECTIONS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_LARGE = 1e6
"""From here on a number is written with a power of ten."""
MOST_CHARACTERS = 1500
"""Longest model text shown; all of it is in tables/problems.parquet."""


def number(value: float | None, digits: int = 2) -> str:
    """`value` with a true minus sign; a dash where there is none."""
    if value is None or value != value:
        return NOTHING
    if not isfinite(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    text = f"{value:.{digits}f}" if abs(value) < _LARGE else f"{value:.{digits}e}"
    return f"{_MINUS}{text[1:]}" if text.startswith("-") and float(text) else text.removeprefix("-")


def small(value: float | None) -> str:
    """`value` in three decimals, or in three digits where that would lose it: 0.0003."""
    if value is None or value != value or abs(value) >= 0.1 or value == 0:
        return number(value, 3)
    return f"{value:.3g}"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """`0.97 [0.95, 0.98]`, in one piece; the value alone where there are no bounds."""
    if value is None or low is None or high is None:
        return number(value)
    return f"{number(value)} [{number(low)},\u00a0{number(high)}]"


def estimate(found: Estimate) -> str:
    """An estimate with its interval."""
    return interval(found.value, found.low, found.high)


def probability(p: float | None) -> str:
    """A p value: three decimals, and no more claimed than that."""
    return "<\u00a00.001" if p is not None and p < 0.001 else number(p, 3)


def percent(share: float | None) -> str:
    """A share in per cent; 0 and 100 are said only where they are exact."""
    if share is None or share != share:
        return NOTHING
    if not 0 <= share <= 1:
        return f"{number(100 * share, 0)}%"
    if 0.995 <= share < 1:
        return "over 99%"
    return "under 1%" if 0 < share < 0.01 else f"{100 * share:.0f}%"


def shown(text: str) -> str:
    """Model text fit for a page: what would not show, or turn the text round, by code; cut where long."""
    cut = text[:MOST_CHARACTERS]
    left = len(text) - len(cut)
    return f"{visible(cut)}… ({left:,} more characters)" if left else visible(cut)


def brief(text: str, most: int = 40) -> str:
    """A name in a sentence that is read aloud: on one line, cut where it is long."""
    line = " ".join(visible(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def visible(text: str) -> str:
    """`text` with what would not show, or turn the text round, by code."""
    return "".join(f"\u27e8U+{ord(c):04X}\u27e9" if _unseen(c) else c for c in text)


def _unseen(c: str) -> bool:
    """Whether `c` is a control character or one that sets the direction of what follows."""
    return (unicodedata.category(c) == "Cc" and c not in "\n\t") or c in _DIRECTIONS


def grouped(values: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Settings as (name, lines) by their outermost key; those that are no mapping stand together, as
    `run`."""
    groups = [(key, flat(value)) for key, value in values.items() if isinstance(value, Mapping)]
    rest = flat({key: value for key, value in values.items() if not isinstance(value, Mapping)})
    return [*groups, *([("run", rest)] if rest else [])]


def flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, value) lines."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            lines += flat(value, f"{name}.")
        else:
            lines.append((name, _plain(value)))
    return lines


def _plain(value: Any) -> str:
    match value:
        case None | {} | [] | ():
            return NOTHING
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(_plain(part) for part in value)
    return str(value)
