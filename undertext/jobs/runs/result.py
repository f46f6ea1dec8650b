"""What joining runs gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from undertext.core.result import Cell, Result, typed
from undertext.core.statistics import Estimate

SCHEMA = 1
"""Version of result.json."""


@dataclass(frozen=True)
class JoinedJob:
    """The runs of one job."""

    runs: Sequence[str]
    """Names of the runs."""
    settings: Sequence[str]
    """Columns of the settings in which runs differ."""
    keys: Sequence[str]
    """Columns that say what a row is of within a run."""
    figures: Sequence[str]
    """Columns of figures."""
    drawn: Sequence[str]
    """Figures that the joined figure shows."""
    rows: Sequence[Mapping[str, Cell]]
    """The headline of every run, with `run` and the settings before it."""

    @property
    def columns(self) -> list[str]:
        """All columns, in order."""
        return ["run", *self.settings, *self.keys, *self.figures]


@dataclass(frozen=True, eq=False)
class JoinedRuns(Result):
    """The answer of `join_runs`.

    `summary` holds `schema`, the `jobs` (a `JoinedJob` each, by the name of the job) and what `failed`. There
    is a table a job, with a row for each row of a run's headline; an interval's ends have columns `_low` and
    `_high`.
    """

    @property
    def jobs(self) -> dict[str, JoinedJob]:
        """The joined runs, by job."""
        jobs: dict[str, JoinedJob] = typed(dict[str, JoinedJob], self.summary["jobs"])
        return jobs

    @property
    def failed(self) -> Mapping[str, str]:
        """Runs that could not be joined, and why."""
        failed: Mapping[str, str] = self.summary["failed"]
        return failed

    @property
    def code(self) -> int:
        """1 where a run could not be joined."""
        return int(bool(self.failed))


def table_of(job: JoinedJob) -> pa.Table:
    """The rows of one job as a table."""
    flat = [
        {key: part for name in job.columns for key, part in _flat(name, row.get(name))} for row in job.rows
    ]
    names = list(dict.fromkeys(key for row in flat for key in row))
    # A figure that was measured in no row has no type of its own: it is a number.
    types = {name: _type([row.get(name) for row in flat]) for name in names}
    cells = [
        {name: str(value) if types[name] == pa.string() and value is not None else value
         for name, value in row.items()}
        for row in flat
    ]  # fmt: skip
    return pa.Table.from_pylist(cells, pa.schema(types.items()))


def _flat(name: str, cell: Cell) -> list[tuple[str, Any]]:
    if isinstance(cell, Estimate):
        return [(name, cell.value), (f"{name}_low", cell.low), (f"{name}_high", cell.high)]
    return [(name, cell)]


def _type(cells: Sequence[Any]) -> pa.DataType:
    given = [cell for cell in cells if cell is not None]
    if any(isinstance(cell, str) for cell in given):
        return pa.string()
    return pa.int64() if given and all(isinstance(cell, int) for cell in given) else pa.float64()
