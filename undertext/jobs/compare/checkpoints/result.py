"""What comparing several checkpoints with one base found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from undertext.activations.errors import UserError, shown
from undertext.core.result import Headline, Result, typed
from undertext.core.statistics import Estimate
from undertext.core.terms import LineName, Role, Says, Verdict
from undertext.jobs.compare.result import Comparison

SCHEMA = 2
"""Version of result.json."""


@dataclass(frozen=True)
class LineShare:
    """A line of evidence."""

    says: Says
    share: Estimate
    """What the weaker shows over the null, of what the stronger does; null where no share is taken."""


@dataclass(frozen=True)
class CheckpointSplit:
    """The comparison of one tuned checkpoint on one split."""

    checkpoint: str
    """Name of the checkpoint, and of the folder of its own report."""
    source: str
    """The checkpoint as it was given."""
    step: int | None
    """Training step that the name tells."""
    split: str
    verdict: Verdict
    confidence: float
    """As of `SplitResult`."""
    stability: float
    weaker: Role | Literal["neither"]
    accuracy: Mapping[Literal["base", "tuned", "difference"], Estimate]
    unfinished: Mapping[Role, float]
    lines: Mapping[LineName, LineShare]
    flags: int
    """Number of flags, which are in the report of the checkpoint."""


@dataclass(frozen=True, eq=False)
class CheckpointComparisons(Result):
    """The answer of `undertext.compare_checkpoints`.

    `summary` holds `schema`, `base` and `task` as a `Comparison` does, `seed`, the `rows` (a
    `CheckpointSplit` each) and what `failed` (by checkpoint: its `source` and its `error`). The table
    `checkpoints` has a row a checkpoint and split, and one for each that failed.
    """

    @property
    def rows(self) -> list[CheckpointSplit]:
        """A row a checkpoint and split, in the order of training where names tell it."""
        rows: list[CheckpointSplit] = typed(list[CheckpointSplit], self.summary["rows"])
        return rows

    @property
    def failed(self) -> dict[str, str]:
        """Checkpoints that could not be compared, and why."""
        return {name: each["error"] for name, each in self.summary["failed"].items()}

    @property
    def code(self) -> int:
        """1 where a checkpoint could not be compared."""
        return int(bool(self.failed))

    def headline(self) -> Headline:
        """A row a checkpoint and split: the verdict and both accuracies."""
        rows = [
            {
                **{name: getattr(row, name) for name in ("checkpoint", "step", "split")},
                **{name: getattr(row, name) for name in ("verdict", "confidence")},
                "accuracy_base": row.accuracy["base"],
                "accuracy_tuned": row.accuracy["tuned"],
                "difference": row.accuracy["difference"],
            }
            for row in self.rows
        ]
        return Headline(rows, ("checkpoint", "step", "split"), ("accuracy_base", "accuracy_tuned"))

    def comparison(self, name: str) -> Comparison:
        """The whole comparison of one checkpoint, from its folder.

        Raises UserError for a name that is none of those compared, and for a result that was not saved.
        """
        names = list(dict.fromkeys(row["checkpoint"] for row in self.summary["rows"]))
        if name not in names:
            raise UserError(
                f"no comparison of {shown(repr(name))}; there are: {shown(', '.join(names), 300)}"
            )
        if self.at is None:
            raise UserError("the comparisons were not kept: give a folder as `out`")
        return Comparison.load(self.at / name)


def table_of(rows: Sequence[Mapping[str, Any]], failed: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """The table `checkpoints` of what `summary` holds: nested figures by names with `_`."""
    flat = [_flat(row) for row in rows] + [{"checkpoint": name, **each} for name, each in failed.items()]
    columns = {key: _type(key) for row in flat for key in row}
    return pa.Table.from_pylist(flat, pa.schema(columns.items()))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    nested = ("accuracy", "unfinished", "lines")
    flat = {key: value for key, value in row.items() if key not in nested}
    bounds = {"": "value", "_low": "low", "_high": "high"}
    for name, found in row["accuracy"].items():
        flat |= {f"{name}{end}": found[key] for end, key in bounds.items()}
    flat |= {f"{role}_unfinished": cut for role, cut in row["unfinished"].items()}
    for name, line in row["lines"].items():
        flat |= {f"{name}_says": line["says"]}
        flat |= {f"{name}_share{end}": line["share"][key] for end, key in bounds.items()}
    return flat | {"error": None}


def _type(column: str) -> pa.DataType:
    if column in ("step", "flags"):
        return pa.int64()
    text = column in ("checkpoint", "source", "split", "verdict", "weaker", "error")
    return pa.string() if text or column.endswith("_says") else pa.float64()
