"""What the figures of accuracy and recovery show: the weaker checkpoint under each kind of key, with its
controls."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from undertext.core.statistics import Estimate
from undertext.core.terms import CONTROL_KINDS, ROLES, LineName
from undertext.jobs.compare.result import Comparison, SplitResult
from undertext.report.figures.accuracy import Band, Kind, Mark, Panel
from undertext.report.numbers import brief

Row = Mapping[str, Any]

KINDS: dict[LineName, Kind] = {
    "behaviour": "sampling",
    "rephrased": "paraphrase",
    "prompted": "prompt",
    "prefilled": "beginning",
    "noised": "noise",
    "recovered": "vector",
}
"""What each kind of key is called in the figures."""
OTHERS: LineName = "recovered"
"""The line whose key has controls of its own kind, beside other problems' answers."""


def accuracy_panels(result: Comparison) -> list[Panel]:
    """Of each split both checkpoints' accuracies, and the weaker's under each kind of key."""
    return [_accuracy(result, split, found) for split, found in result.splits.items()]


def recovery_panels(result: Comparison) -> list[Panel]:
    """Of each split what each kind of key recovers of the gap; of `sampling` the share of the gap's problems
    that k samples solve."""
    return [_recovery(result, split, found) for split, found in result.splits.items()]


def _accuracy(result: Comparison, split: str, found: SplitResult) -> Panel:
    rows: list[Mark | Band] = [Mark(role, found.accuracy[role]) for role in ROLES]
    by_line = {row["line"]: row for row in _rows(result, "accuracy_by_key", split)}
    vectors, controls = _steered(result, split, "accuracy", "low", "high")
    for line, kind in KINDS.items():
        row = by_line.get(line)
        own = (
            vectors if line == OTHERS else _estimates([] if row is None else [row], "accuracy", "low", "high")
        )
        if not own:
            continue
        rows += [Mark(kind, own[0]), *(controls if line == OTHERS else [])]
        if row is not None:
            rows.append(Band("other problems' answers", _estimates([row], "null", "null_low", "null_high")))
    answers = [row["answer"] for row in _rows(result, "problems", split)]
    keyed = len(rows) > len(ROLES) and found.weaker != "neither"
    more = f", keys on the {found.weaker}" if keyed else ""
    title = f"{brief(split, 24)} ({found.accuracy['base'].n} problems){more}"
    return Panel(title, rows, commonest(answers))


def _recovery(result: Comparison, split: str, found: SplitResult) -> Panel:
    rows: list[Mark | Band] = []
    vectors, controls = _steered(result, split, "recovered", "recovered_low", "recovered_high")
    for name, kind in KINDS.items():
        line = found.line(name)
        if line is None:
            continue
        own = vectors if name == OTHERS else [line.estimate]
        if own:
            rows += [Mark(kind, own[0]), *(controls if name == OTHERS else [])]
            rows.append(Band("other problems' answers", [line.null]))
    return Panel(f"{brief(split, 24)}, keys on the {found.weaker}", rows)


def _steered(result: Comparison, split: str, *columns: str) -> tuple[list[Estimate], list[Band]]:
    """The best vector's figure, or without one that of the strongest direction, and a band for each kind of
    control; nothing where there is no gap to recover."""
    rows = _rows(result, "recovery", split)
    offered = any(row["best_vector"] for row in rows)
    best = _estimates([row for row in rows if row["best_vector" if offered else "strongest"]], *columns)
    bands = [
        Band(kind, found)
        for kind in CONTROL_KINDS
        if (found := _estimates([row for row in rows if row["control"] == kind], *columns))
    ]
    return best, bands


def _estimates(rows: Sequence[Row], value: str, low: str, high: str) -> list[Estimate]:
    return [Estimate(row[value], row[low], row[high], 0) for row in rows if row[value] is not None]


def _rows(result: Comparison, table: str, split: str) -> list[Row]:
    rows: list[Row] = result.tables[table].to_pylist() if table in result.tables else []
    return [row for row in rows if row["split"] == split]


def commonest(answers: Sequence[str]) -> float | None:
    """Accuracy of always giving the commonest answer: what can be had by chance.

    None where answers come less than five times each on average: they are then no classes one could guess
    among.
    """
    counts = Counter(answers)
    if not counts or counts.total() < 5 * len(counts):
        return None
    return max(counts.values()) / counts.total()
