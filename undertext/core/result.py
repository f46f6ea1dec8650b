"""What a job found, as plain data: what all results share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from undertext.activations.errors import UserError
from undertext.activations.files import one_line, read_json
from undertext.core.output import RESULT, RUN, TABLES, publish

R = TypeVar("R", bound="Result")


@dataclass(frozen=True, eq=False)
class Result:
    """A job's answer: figures in `summary`, rows in `tables`, how it was made in `run`.

    A result knows nothing of how it is shown. The report that stands beside it (the module `report` of the
    same package) makes its files, its figures and what a notebook shows.
    """

    summary: Mapping[str, Any]
    """The figures as plain values, as result.json holds them."""
    tables: Mapping[str, pa.Table] = field(repr=False)
    """Arrow tables by name, as the files of tables/ hold them."""
    run: Mapping[str, Any] = field(repr=False)
    """Config, fingerprints, versions and times, as run.json holds them."""

    FILE: ClassVar[str] = RESULT
    """Name of the file that holds `summary`."""

    def save(self, out: str | Path) -> Path:
        """Write result.json, run.json, report.html, tables/ and figures/ under `out`, and return `out`.

        Every file is whole or not there. Raises UserError when `out` cannot be written.
        """
        return publish(self.files(), Path(out))

    @classmethod
    def load(cls: type[R], folder: str | Path) -> R:
        """The result that was saved in `folder`. Raises UserError when it holds none, or a damaged one."""
        folder = Path(folder)
        if not (folder / cls.FILE).is_file():
            raise UserError(f"expected a folder with {cls.FILE} in it, got {folder}")
        tables = {}
        for path in sorted((folder / TABLES).glob("*.parquet")):
            try:
                tables[path.stem] = pq.read_table(path)
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"{path} is damaged: {one_line(error)}") from error
        run = read_json(folder / RUN)
        run.pop(
            "files", None
        )  # `files` lists them anew: a loaded result writes the bytes that a fresh one does
        return cls(read_json(folder / cls.FILE), tables, run)

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
        files: dict[str, bytes] = self._report().files(self)
        return files

    def _repr_html_(self) -> str:
        return str(self._report().summary_html(self))

    def _report(self) -> Any:
        # By name, and only when something is shown: the report imports the result, never the other way round.
        return import_module(f"{type(self).__module__.rpartition('.')[0]}.report")
