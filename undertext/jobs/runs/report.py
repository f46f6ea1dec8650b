"""How joined runs are shown: a table a job, one figure, and what could not be joined."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from undertext.core.result import Cell
from undertext.core.statistics import Estimate
from undertext.jobs.runs.result import JoinedJob, JoinedRuns
from undertext.report.figures.runs import MOST_PANELS, MOST_RUNS, RunsPanel, is_number, runs_figure, runs_said
from undertext.report.numbers import NOTHING, estimate, small
from undertext.report.page import Section, document, fragment

MOST_ROWS = 1000
"""Rows of a table that the page shows."""
MOST_LINES = 200
"""Rows of a table that a terminal shows."""
_WIDEST = 48
"""Characters of a cell on a terminal, beside the name of the run."""


def figures(result: JoinedRuns) -> dict[str, Figure]:
    """`runs`: a panel a job and kind of row; none where no figure of any run is a number."""
    panels = _panels(result)
    return {"runs": runs_figure(panels)} if panels else {}


def summary_html(result: JoinedRuns) -> str:
    """The tables, for notebooks."""
    return "".join(fragment(name, _section(name, job)) for name, job in result.jobs.items())


def lines(result: JoinedRuns) -> list[str]:
    """A table a job, and what was not joined, for a terminal."""
    said: list[str] = []
    for name, job in result.jobs.items():
        rows, more = _cells(job)[:MOST_LINES], len(job.rows) - MOST_LINES
        said += [f"{name}: {_counted(job)}", *_aligned(job.columns, rows)]
        said += [f"  and {more:,} more rows, which are in the table"] if more > 0 else []
    lost: dict[str, list[str]] = {}
    for name, error in result.failed.items():
        lost.setdefault(error, []).append(name)
    return said + [f"{', '.join(names)}: not joined: {error}" for error, names in lost.items()]


def html(result: JoinedRuns, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figure as SVG."""
    sections = []
    if "runs" in pictures:
        panels = _panels(result)
        cut = len(panels) > MOST_PANELS or any(len(panel.runs) > MOST_RUNS for panel in panels)
        text = [f"Drawn are the first {MOST_PANELS} panels and {MOST_RUNS} runs of each."] if cut else []
        shows = f"Figures of each run, with intervals where there are any. {runs_said(panels)}"
        sections.append(Section("Side by side", text, picture=(pictures["runs"], shows)))
    sections += [_section(name, job) for name, job in result.jobs.items()]
    if result.failed:
        lost = [[name, error] for name, error in result.failed.items()]
        sections.append(Section("Not joined", (), ["run", "why"], lost))
    about = {name: _counted(job) for name, job in result.jobs.items()}
    return document("joined runs", "undertext runs", "Runs side by side", about, sections, result.run)


def _counted(job: JoinedJob) -> str:
    n = len(job.runs)
    differ = f"they differ in {', '.join(job.settings)}" if job.settings else "of the same settings"
    return "1 run" if n == 1 else f"{n} runs, {differ}"


def _section(name: str, job: JoinedJob) -> Section:
    rows, more = _cells(job)[:MOST_ROWS], len(job.rows) - MOST_ROWS
    text = [f"{_counted(job).capitalize()}. Settings that are the same in all runs are left out."]
    if more > 0:
        text.append(f"Shown are the first {MOST_ROWS:,} rows; {more:,} more are in the table.")
    return Section(name, text, job.columns, rows)


def _cells(job: JoinedJob) -> list[list[str]]:
    return [[_cell(row.get(name)) for name in job.columns] for row in job.rows]


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return NOTHING
        case Estimate():
            return estimate(cell)
        case float():
            return small(cell)
    return str(cell)


def _panels(result: JoinedRuns) -> list[RunsPanel]:
    """A panel a job and kind of row, of those with a figure that is a number."""
    panels = []
    for name, job in result.jobs.items():
        kinds: dict[tuple[Cell, ...], dict[str, Mapping[str, Cell]]] = {}
        for row in job.rows:
            kinds.setdefault(tuple(row.get(key) for key in job.keys), {})[str(row["run"])] = row
        for kind, own in kinds.items():
            title = ", ".join([name, *(str(part) for part in kind if part is not None)])
            series = {figure: _numbers(list(own.values()), figure) for figure in job.drawn}
            series = {figure: values for figure, values in series.items() if any(map(is_number, values))}
            if series:
                panels.append(RunsPanel(title, list(own), series))
    return panels


def _numbers(rows: Sequence[Mapping[str, Cell]], figure: str) -> list[Estimate | float | None]:
    cells = [row.get(figure) for row in rows]
    return [
        cell if isinstance(cell, Estimate) else float(cell) if isinstance(cell, int | float) else None
        for cell in cells
    ]


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns under their names, each as wide as its longest cell."""
    cut = [
        [cell if i == 0 or len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…" for i, cell in enumerate(row)]
        for row in (head, *rows)
    ]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cut
    ]
