"""What steering recovered on a split, as lines of the page."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.rows import Row, is_control, rows
from undertext.measures.recovery.controls import KINDS
from undertext.report.numbers import NOTHING, interval, number, percent

_AT = {
    "last_prompt": "at the last prompt token",
    "prompt": "at every prompt token",
    "generated": "at every token it writes",
    "all": "at every token",
}
"""Where a vector was added, in words."""


class Recovery(NamedTuple):
    """One vector, or all controls of a kind together, as text."""

    name: str
    oracle: str
    where: str
    accuracy: str
    recovered: str
    strict: str
    """The gap recovered in the strict grade."""
    only_format: str
    excess: Mapping[str, str]
    """Over the best control, by kind, of those kinds that there are."""
    kept: str
    kl: str
    perplexity: str
    headline: bool
    single: bool
    """Whether it is one vector."""


def recoveries(comparison: Comparison, split: str) -> list[Recovery]:
    """The setting that stands for the split first, then the other vectors by accuracy, then the controls."""
    found = rows(comparison, "recovery", split=split)
    vectors = [row for row in found if not is_control(row) or row["headline"]]
    vectors.sort(key=lambda row: (not row["headline"], -row["accuracy"]))
    by_kind = {kind: [row for row in found if is_control(row, kind)] for kind in KINDS}
    kinds = [kind for kind, controls in by_kind.items() if controls]
    return [*(_line(row, kinds) for row in vectors), *(_together(by_kind[kind]) for kind in kinds)]


def _line(row: Row, kinds: Sequence[str]) -> Recovery:
    return Recovery(
        name=row["vector"],
        oracle=row["oracle"],
        where=f"{row['hook']}, dose {row['dose']:g}, {_AT.get(row['at'], row['at'])}",
        accuracy=interval(row["accuracy"], row["low"], row["high"]),
        recovered=_recovered(row),
        strict=_three(row, "recovered_graded_strictly"),
        only_format=percent(row["only_format"]),
        excess={kind: _three(row, f"over_{kind.replace(' ', '_')}") for kind in kinds},
        kept=_three(row, "kept"),
        kl=number(row["kl"], 3),
        perplexity=_from_to(row["perplexity"], row["perplexity_steered"]),
        headline=row["headline"],
        single=True,
    )


def _three(row: Row, column: str) -> str:
    return interval(row[column], row[f"{column}_low"], row[f"{column}_high"])


def _recovered(row: Row) -> str:
    """The share of the gap; where there is no gap, the difference to the weaker checkpoint unsteered."""
    if row["recovered"] is not None:
        return _three(row, "recovered")
    return f"no gap to recover; difference {_three(row, 'difference')}"


def _from_to(before: float | None, after: float | None) -> str:
    return NOTHING if before is None else f"{number(before)} to {number(after)}"


def _together(controls: list[Row]) -> Recovery:
    kind, oracles = controls[0]["control"], {row["oracle"] for row in controls}
    recovered = [row["recovered"] for row in controls if row["recovered"] is not None]
    return Recovery(
        name=f"{kind} ({len(controls)})",
        oracle=oracles.pop() if len(oracles) == 1 else "as the vectors",
        where="each chosen on dev, as the vectors were",
        accuracy=_spread([row["accuracy"] for row in controls]),
        recovered=_spread(recovered) if recovered else NOTHING,
        strict=NOTHING,
        only_format=NOTHING,
        excess={},
        kept=NOTHING,
        kl=NOTHING,
        perplexity=NOTHING,
        headline=False,
        single=False,
    )


def _spread(values: list[float]) -> str:
    return f"mean {number(fmean(values))}, {number(min(values))} to {number(max(values))}"
