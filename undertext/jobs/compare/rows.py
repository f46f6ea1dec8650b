"""Reading a comparison's tables; a table that is missing or empty has no rows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from undertext.jobs.compare.result import Comparison

GRADE = "lenient"
"""The grade that figures and the sample of problems go by; the page gives both."""

Row = dict[str, Any]


def rows(comparison: Comparison, table: str, **wanted: Any) -> list[Row]:
    """Rows of `table` whose columns hold the values `wanted`, in the table's order."""
    if table not in comparison.tables:
        return []
    found: list[Row] = comparison.tables[table].to_pylist()
    return [row for row in found if all(row[column] == value for column, value in wanted.items())]


def headline(comparison: Comparison, split: str) -> Row | None:
    """The recovery that stands for `split`: the setting chosen on dev, or None where none was measured."""
    return next(iter(rows(comparison, "recovery", split=split, headline=True)), None)


def is_control(row: Row, kind: str | None = None) -> bool:
    """Whether a row of `sweep` or `recovery` is of a control, or of a control of this kind."""
    return row["control"] is not None if kind is None else row["control"] == kind


def commonest_answer(comparison: Comparison, split: str) -> float | None:
    """Accuracy of always giving the split's commonest answer: what can be had by chance.

    None where answers come less than five times each on average: they are then no classes one
    could guess among.
    """
    counts = Counter(row["answer"] for row in rows(comparison, "problems", split=split))
    if not counts or counts.total() < 5 * len(counts):
        return None
    return max(counts.values()) / counts.total()


def share(values: Sequence[bool | None]) -> float | None:
    """The share of true among the values there are; None where there are none."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
