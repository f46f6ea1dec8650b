"""Regular expressions from tasks and configs: compiled within bounds, and matched in limited time."""

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import regex

from undertext.activations.errors import UserError, shown

LONGEST_PATTERN = 1000
MOST_REPEATED = 200_000
"""Largest product of a pattern's length and the counts of its repeats: `(?:a{1000}){1000}` is written out
when it is compiled, so that a few characters take all memory."""
SECONDS = 2.0
"""Time that one text may take to match. Patterns that do not try again and again take milliseconds."""

_COUNT = re.compile(r"\{([0-9]+)")


@dataclass(frozen=True)
class Found:
    """A match: where it is in the text, and its groups, from group 1 on."""

    start: int
    end: int
    groups: tuple[str | None, ...]
    spans: tuple[tuple[int, int], ...]
    """From where to where each group is; (-1, -1) where it is None."""


def pattern_groups(pattern: str) -> int:
    """How many groups `pattern` has.

    Raises ValueError, in one line ("expected ..., got ..."), for what is no regular expression of Python's
    `re`, and for one that is too long or repeats too much.
    """
    if len(pattern) > LONGEST_PATTERN:
        wanted = f"a regular expression of at most {LONGEST_PATTERN} characters"
        raise ValueError(f"expected {wanted}, got one of {len(pattern)}")
    counts = _COUNT.findall(pattern)
    if any(len(count) > 6 for count in counts) or _repeated(counts) * len(pattern) > MOST_REPEATED:
        raise ValueError(
            f"expected a regular expression with fewer repeats, got {_named(pattern)}: its counts times its "
            f"length come to more than {MOST_REPEATED}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what may change in a later Python is no fault of a task
            re.compile(pattern)
        return int(_compiled(pattern).groups)
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        got = f"{_named(pattern)}, which does not compile: {shown(error, 200)}"
        raise ValueError(f"expected a regular expression, got {got}") from None


def find_all(pattern: str, text: str, *, seconds: float = SECONDS) -> list[Found]:
    """Every match of `pattern` in `text`, in order. Raises UserError where that takes more than `seconds`."""
    try:
        matches = list(_compiled(pattern).finditer(text, timeout=seconds))
    except TimeoutError:
        raise UserError(
            f"the pattern {_named(pattern)} is not done with a text of {len(text)} characters after "
            f"{seconds:g} seconds: expected one that does not try the same text over and over, as (a+)+ does"
        ) from None
    return [Found(match.start(), match.end(), match.groups(), match.regs[1:]) for match in matches]


def matches_at_end(pattern: str, text: str, *, seconds: float = SECONDS) -> bool:
    """Whether `text` ends in a match of `pattern`. Raises UserError where that takes more than `seconds`."""
    return bool(find_all(rf"(?:{pattern})\Z", text, seconds=seconds))


def _named(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 60 else f"{pattern[:60]}...")


def _repeated(counts: list[str]) -> int:
    return prod(max(1, int(count)) for count in counts)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> "regex.Pattern[str]":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return regex.compile(pattern, regex.VERSION0)
