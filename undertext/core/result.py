"""What a job found, as plain data: what all results share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib import import_module
from math import inf, nan
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from pydantic import TypeAdapter

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line, read_json
from undertext.core.config import WORK_ONLY
from undertext.core.output import PAGE, RESULT, RUN, RUN_KEY, TABLES, json_bytes, parquet
from undertext.core.publish import publish
from undertext.core.statistics import Estimate

R = TypeVar("R", bound="Result")
ID = "run"
"""Key of result.json and run.json that holds the id of the run; the page and the tables hold it too."""
OF_THE_RUN = ("made", "versions", "machine", "timings_s", "elapsed_s", "files", ID)
"""Keys of run.json that differ between two runs of one job."""
_ESTIMATE = {"value": nan, "low": -inf, "high": inf}
"""What null stands for in an `Estimate`: a number that was not finite, which JSON cannot hold."""


Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Headline:
    """The figures that stand for a result where several runs are joined in one table."""

    rows: Sequence[Mapping[str, Cell]]
    """A row a split or the like; None where a figure was not measured."""
    keys: Sequence[str]
    """Columns that say what a row is of; all others are figures."""
    drawn: Sequence[str]
    """Figures that the joined figure shows."""


@dataclass(frozen=True, eq=False)
class Result:
    """A job's answer: figures in `summary`, rows in `tables`, how it was made in `run`.

    A result knows nothing of how it is shown. The report that stands beside it (the module `report` of the
    same package) makes its page, its figures, its lines for a terminal and what a notebook shows.
    """

    summary: Mapping[str, Any]
    """The figures as plain values, as result.json holds them."""
    tables: Mapping[str, pa.Table] = field(repr=False)
    """Arrow tables by name, as the files of tables/ hold them."""
    run: Mapping[str, Any] = field(repr=False)
    """Config, fingerprints, versions and times, as run.json holds them."""
    at: Path | None = field(default=None, repr=False)
    """The folder that the result was written to or read from; None where it was not."""

    FILE: ClassVar[str] = RESULT
    """Name of the file that holds `summary`."""

    @property
    def code(self) -> int:
        """Exit code of a command with this result: 0, or 1 where some of what was asked for failed."""
        return 0

    def headline(self) -> Headline:
        """The figures that stand for this result beside those of other runs."""
        raise NotImplementedError(f"{type(self).__name__} has no headline")

    def save(self, out: str | Path) -> Path:
        """Write result.json, run.json, report.html, tables/ and figures/ under `out`, and return `out`.

        The whole takes the place of what an earlier run left. Raises UserError when `out` cannot be written.
        """
        return publish(self.files(), Path(out))

    @classmethod
    def load(cls: type[R], folder: str | Path) -> R:
        """The result that was saved in `folder`.

        Raises UserError when the folder holds none, or a damaged one, or files of several runs.
        """
        folder = Path(folder)
        return cls(*read_run(folder, cls.FILE), folder)

    def table(self, name: str) -> Any:
        """One of the tables as a pandas DataFrame. Raises UserError naming those there are."""
        if name not in self.tables:
            raise UserError(f"no table {name!r}; there are: {', '.join(self.tables) or 'none'}")
        return self.tables[name].to_pandas()

    def figures(self) -> dict[str, Figure]:
        """The report's matplotlib figures, by name."""
        figures: dict[str, Figure] = self._report().figures(self)
        return figures

    def figure(self, name: str | None = None) -> Figure:
        """One of the report's figures; None takes the first. Raises UserError naming those there are."""
        figures = self.figures()
        if name is None and figures:
            return next(iter(figures.values()))
        if name not in figures:
            asked = "no figure" if name is None else f"no figure {name!r}"
            raise UserError(f"{asked}; there are: {', '.join(figures) or 'none'}")
        return figures[name]

    def files(self) -> dict[str, bytes]:
        """The files that `save` writes, by path. The same result gives the same bytes."""
        marked = replace(self, run={ID: self.id, **self.run})
        files: dict[str, bytes] = import_module("undertext.report.files").report_files(marked, self._report())
        return files

    @property
    def id(self) -> str:
        """16 hex digits that every file of the run holds: a digest of what was found, and by which job."""
        job = {key: value for key, value in self.run.items() if key not in OF_THE_RUN}
        if isinstance(config := job.get("config"), Mapping):
            job["config"] = {key: value for key, value in config.items() if key not in WORK_ONLY}
        digest = sha256(json_bytes({"summary": self.summary, "job": job}))
        for name in sorted(self.tables):
            digest.update(name.encode() + parquet(self.tables[name]))
        return digest.hexdigest()[:16]

    def lines(self) -> list[str]:
        """What a command prints of the result."""
        lines: list[str] = self._report().lines(self)
        return lines

    def _repr_html_(self) -> str:
        return str(self._report().summary_html(self))

    def _report(self) -> Any:
        # By name, and only when something is shown: the report imports the result, never the other way round.
        return import_module(f"{type(self).__module__.rpartition('.')[0]}.report")


class NotSaved(UserError):
    """A result that could not be written: it is in `result`, and not lost."""

    def __init__(self, error: UserError, result: Result) -> None:
        """Take the error that writing ended in, and what was to be written."""
        super().__init__(str(error))
        self.result = result


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file of the run in `folder`, by its name in there; UserError where one is gone."""
    names = [str(name) for name in read_json(folder / RUN).get("files", ())]
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise UserError(f"{shown(error.filename)} is missing or cannot be read: {one_line(error)}") from error


def read_run(folder: Path, file: str) -> tuple[dict[str, Any], dict[str, pa.Table], dict[str, Any]]:
    """Figures, tables and run.json of the run in `folder` whose figures are in `file`.

    Raises UserError as `Result.load`.
    """
    if not (folder / file).is_file():
        raise UserError(f"expected a folder with {file} in it, got {shown(folder)}")
    summary, run = read_json(folder / file), read_json(folder / RUN)
    listed = run.pop("files", None)
    found = [path.relative_to(folder).as_posix() for path in sorted((folder / TABLES).glob("*.parquet"))]
    ids = {RUN: run.pop(ID, None), file: summary.pop(ID, None)}
    tables = {}
    for name in found if listed is None else [n for n in listed if str(n).startswith(f"{TABLES}/")]:
        path = folder / str(name)
        try:
            tables[path.stem] = table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{shown(path)} is missing or damaged: {one_line(error)}") from error
        mark = (table.schema.metadata or {}).get(RUN_KEY)
        ids[str(name)] = None if mark is None else mark.decode(errors="replace")
    if (folder / PAGE).is_file():
        ids[PAGE] = _page_id(folder / PAGE)
    others = [name for name, run_id in ids.items() if run_id != ids[RUN]]
    if others:
        raise UserError(
            f"{shown(folder)} holds files of several runs: {shown(', '.join(others))} "
            f"{'is' if len(others) == 1 else 'are'} not of the run in {RUN}. Run the job again"
        )
    return summary, tables, run


def typed(kind: Any, plain: Any) -> Any:
    """The value of the type `kind` (a dataclass, a mapping of them, ...) that is `plain` in result.json: the
    same for a loaded result and a fresh one."""
    return TypeAdapter(kind).validate_python(_restored(plain))


def _restored(plain: Any) -> Any:
    if isinstance(plain, Mapping):
        values = {key: _restored(value) for key, value in plain.items()}
        if _ESTIMATE.keys() < values.keys():
            values |= {key: _ESTIMATE[key] for key in _ESTIMATE if values[key] is None}
        return values
    if isinstance(plain, Sequence) and not isinstance(plain, str):
        return [_restored(value) for value in plain]
    return plain


def _page_id(path: Path) -> str | None:
    """The id of the run that a page says it is of; UserError where the page cannot be read."""
    try:
        with path.open("rb") as page:
            mark = re.search(rb'<meta name="undertext-run" content="(\w+)">', page.read(4096))
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {one_line(error)}") from error
    return None if mark is None else mark[1].decode()
