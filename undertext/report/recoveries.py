"""What steering recovered on a split, as lines of the page."""

from statistics import fmean
from typing import NamedTuple

from undertext.comparison import Comparison
from undertext.report.numbers import NOTHING, interval, number
from undertext.report.rows import Row, is_random, rows

_AT = {
    "last_prompt": "at the last prompt token",
    "prompt": "at every prompt token",
    "generated": "at every token it writes",
    "all": "at every token",
}
"""Where a vector was added, in words."""


class Recovery(NamedTuple):
    """One vector, or all random directions together, as text."""

    name: str
    oracle: str
    where: str
    accuracy: str
    recovered: str
    excess: str
    headline: bool


def recoveries(comparison: Comparison, split: str) -> list[Recovery]:
    """The setting that stands for the split first, then the other vectors by accuracy, then the controls."""
    found = rows(comparison, "recovery", split=split)
    vectors = [row for row in found if not is_random(row)]
    vectors.sort(key=lambda row: (not row["headline"], -row["accuracy"]))
    controls = [row for row in found if is_random(row)]
    return [*map(_line, vectors), *([_together(controls)] if controls else [])]


def _line(row: Row) -> Recovery:
    return Recovery(
        name=row["vector"],
        oracle=row["oracle"],
        where=f"{row['hook']}, dose {row['dose']:g}, {_AT.get(row['at'], row['at'])}",
        accuracy=interval(row["accuracy"], row["low"], row["high"]),
        recovered=interval(row["recovered"], row["recovered_low"], row["recovered_high"]),
        excess=interval(row["excess_over_random"], row["excess_low"], row["excess_high"]),
        headline=row["headline"],
    )


def _together(controls: list[Row]) -> Recovery:
    name = "1 random direction" if len(controls) == 1 else f"{len(controls)} random directions"
    recovered = [row["recovered"] for row in controls if row["recovered"] is not None]
    return Recovery(
        name=name,
        oracle=controls[0]["oracle"],
        where="each chosen on dev, as the vectors were",
        accuracy=_spread([row["accuracy"] for row in controls]),
        recovered=_spread(recovered) if recovered else NOTHING,
        excess=NOTHING,
        headline=False,
    )


def _spread(values: list[float]) -> str:
    return f"mean {number(fmean(values))}, {number(min(values))} to {number(max(values))}"
