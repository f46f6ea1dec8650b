"""Problems the page shows: some of those on which the two checkpoints differ."""

from typing import NamedTuple

from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.rows import GRADE, Row, rows, share

MOST = 12
"""Problems shown a split."""


class Sample(NamedTuple):
    """The first problems of each kind, in the table's order, and how many there are of each."""

    gained: int
    """Problems that the tuned checkpoint solves and the base does not."""
    lost: int
    """Problems that the base solves and the tuned checkpoint does not."""
    problems: list[Row]


class Grades(NamedTuple):
    """One condition's accuracy under both grades; None where it was not measured."""

    name: str
    strict: float | None
    lenient: float | None


def sample(comparison: Comparison, split: str) -> Sample:
    """Up to twelve problems on which the checkpoints differ; the rarer kind is given up to four places."""
    problems = rows(comparison, "problems", split=split)
    gained = [row for row in problems if row[f"tuned_{GRADE}"] and not row[f"base_{GRADE}"]]
    lost = [row for row in problems if row[f"base_{GRADE}"] and not row[f"tuned_{GRADE}"]]
    more, less = (gained, lost) if len(gained) >= len(lost) else (lost, gained)
    less = less[: max(MOST // 3, MOST - len(more))]
    return Sample(len(gained), len(lost), [*more[: MOST - len(less)], *less])


def grades(comparison: Comparison, split: str) -> list[Grades]:
    """Strict and lenient accuracy of base, tuned and, where it was measured, steered."""
    problems = rows(comparison, "problems", split=split)
    found = [
        Grades(who, *(share([row[f"{who}_{kind}"] for row in problems]) for kind in ("strict", "lenient")))
        for who in ("base", "tuned", "steered")
    ]
    return [line for line in found if line.lenient is not None]
