"""How outputs are written: markers of doubt and of certainty, length, repetition, and backtracks.

Markers are counted as whole words, in any case, and never one within another: where `not sure` stands, `sure`
is not counted beside it. A single letter counts in the case in which it is listed: `I` is a writer, and `i`
may be a variable. Categories are Hyland's of stance and engagement (Metadiscourse, 2005: hedges, boosters,
attitude markers, engagement markers, self-mention), and backtracking.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, RootModel, field_validator

from undertext.activations.errors import UserError
from undertext.core.config import read_config
from undertext.core.shipped import config_file
from undertext.measures.trace.trails import Trail
from undertext.tasks.numbers import numbers_in

MARKERS = "markers.yaml"
HEDGES, BACKTRACKING = "hedges", "backtracking"
DOUBT = (HEDGES, BACKTRACKING)
"""Categories that voice doubt."""
MOST_MARKERS = 2000
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_GRAM = 4
"""Length in words of what counts as repeated."""
_LOOP, _TAIL = 40, 3000
"""Characters at the end that a loop fills at least, and that are looked at."""


class MarkerFile(RootModel[dict[str, tuple[str, ...]]]):
    """A file of markers: words and phrases by category."""

    root: dict[str, tuple[str, ...]] = Field(min_length=1)

    @field_validator("root")
    @classmethod
    def _some(cls, markers: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if sum(map(len, markers.values())) > MOST_MARKERS:
            raise ValueError(f"expected at most {MOST_MARKERS} markers")
        for name, words in markers.items():
            if not words or any(not word.strip() for word in words):
                raise ValueError(f"expected words or phrases in {name!r}, none of them blank")
        owners = Counter(key for words in markers.values() for key in {_key(word) for word in words})
        for key, count in owners.items():
            if count > 1:
                raise ValueError(f"expected each marker in one category, {key!r} is in {count}")
        return markers


class Markers:
    """Finds markers in texts."""

    def __init__(self, by_category: Mapping[str, Sequence[str]]) -> None:
        self.by_category = {name: list(words) for name, words in by_category.items()}
        self.categories = tuple(by_category)
        self._category = {_key(word): name for name, words in by_category.items() for word in words}
        # The longest first: a phrase counts before the words in it.
        longest = sorted(self._category, key=lambda key: (-len(key), key))
        written = {_key(word): word.strip() for words in by_category.values() for word in words}
        words = "|".join(
            re.escape(key).replace(r"\ ", r"\s+") if len(key) > 1 else f"(?-i:{re.escape(written[key])})"
            for key in longest
        )
        self._pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def found(self, text: str) -> list[tuple[int, str]]:
        """Where each marker stands, and its category, in order."""
        plain = text.replace("\u2019", "'")
        return [(m.start(), self._category[_key(m.group())]) for m in self._pattern.finditer(plain)]

    def counts(self, text: str) -> dict[str, int]:
        """Number of markers of each category."""
        counted = Counter(name for _, name in self.found(text))
        return {name: counted[name] for name in self.categories}

    def rate(self, text: str, categories: Sequence[str]) -> float | None:
        """Markers of these categories per 100 words of a text; None of no words."""
        words = sum(1 for _ in _WORD.finditer(text))
        return 100 * sum(name in categories for _, name in self.found(text)) / words if words else None


def open_markers(path: Path | None = None) -> Markers:
    """The markers of a file; None takes those of configs/markers.yaml. UserError for what is no such file."""
    file = config_file(MARKERS) if path is None else path
    if not file.is_file():
        raise UserError(f"expected a file of markers (words by category, in YAML), there is none at {file}")
    return Markers(read_config(MarkerFile, file).root)


@dataclass(frozen=True)
class Style:
    """The style of one output."""

    words: int
    markers: dict[str, int]
    """Number of markers, by category."""
    repeated: float | None
    """Share of the runs of four words that were there before; None of fewer than four words."""
    backtracks: int
    """Number of markers of backtracking."""
    mended: bool | None
    """Whether the step with the first backtrack ends in another number than the last one before the
    backtrack; where no number is left in that step, the next step that has one. None without both numbers."""

    def rate(self, *categories: str) -> float | None:
        """Markers of these categories per 100 words; None of no words."""
        count = sum(self.markers.get(name, 0) for name in categories)
        return 100 * count / self.words if self.words else None


def ends_in_a_loop(text: str) -> bool:
    """Whether a text goes round in circles at its end: its last characters are one run of characters at least
    three times over, and 40 characters or more. Whitespace counts as one space."""
    tail = " ".join(text.split())[-_TAIL:]
    for period in range(1, (len(tail) + 1) // 3 + 1):
        looped = tail[-max(3 * period - 1, _LOOP) :]  # the last time without the space after it
        if len(looped) >= _LOOP and looped[period:] == looped[:-period]:
            return True
    return False


def style_of(trail: Trail, markers: Markers) -> Style:
    """The style of a trail's whole text, its ending included."""
    words = [match.group().lower() for match in _WORD.finditer(trail.text)]
    grams = [tuple(words[i : i + _GRAM]) for i in range(len(words) - _GRAM + 1)]
    counts = markers.counts(trail.text)
    return Style(
        words=len(words),
        markers=counts,
        repeated=1 - len(set(grams)) / len(grams) if grams else None,
        backtracks=counts.get(BACKTRACKING, 0),
        mended=_mended(trail, markers),
    )


def _mended(trail: Trail, markers: Markers) -> bool | None:
    back = next((start for start, name in markers.found(trail.text) if name == BACKTRACKING), None)
    if back is None:
        return None
    numbers = [each for each in numbers_in(trail.text) if each.value is not None]
    before = [each.value for each in numbers if each.end <= back]
    for end in [*(step.end for step in trail.steps if step.end > back), len(trail.text)]:
        after = [each.value for each in numbers if back < each.start < end]
        if before and after:
            return before[-1] != after[-1]
    return None


def _key(word: str) -> str:
    return " ".join(word.replace("\u2019", "'").lower().split())
