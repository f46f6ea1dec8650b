"""`join_runs`: finished runs in one table a job and one figure."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError, shown
from undertext.core.job import JobRun, job_run
from undertext.core.output import plain
from undertext.core.progress import Progress
from undertext.core.result import Headline, Result
from undertext.jobs.runs.config import RunsConfig
from undertext.jobs.runs.folders import JOINED, Opened, find_runs, open_run
from undertext.jobs.runs.result import SCHEMA, JoinedJob, JoinedRuns, table_of
from undertext.jobs.runs.settings import differing


def join_runs(
    *folders: str | Path,
    config: RunsConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> JoinedRuns:
    """Finished runs, of one job or several, side by side: a table a job, and one figure.

    A folder is that of a run, or one with runs below it. A run is named by its path below the folder that all
    have in common. A run that cannot be read (unfinished, damaged, of files of several runs) is among
    `failed`, and the others go on.

    Raises UserError for a folder that is not there or holds no run, where none of the runs can be read, and
    for an `out` that cannot be written.
    """
    found = find_runs(folders)
    with job_run(JOINED, config or RunsConfig(), out, progress) as run:
        run.begin()
        names = _named(found)
        opened: dict[str, Opened] = {}
        failed: dict[str, str] = {}
        with run.bars.stage("reading", len(names)) as done:
            for name, folder in names.items():
                try:
                    job, result = open_run(folder)
                    opened[name] = Opened(job, replace(result, tables={}))  # tables of many runs are large
                except UserError as error:
                    failed[name] = str(error)
                done(1)
        return joined(run, opened, failed)


def joined(run: JobRun, opened: Mapping[str, Opened], failed: Mapping[str, str]) -> JoinedRuns:
    """The result of joining `opened`, by name, as the end of a job; `failed` says why others are not among
    them. Raises UserError where none is left."""
    lost = dict(failed)
    by_job: dict[str, dict[str, tuple[Result, Headline]]] = {}
    for name, (job, result) in opened.items():
        try:
            by_job.setdefault(job, {})[name] = result, result.headline()
        except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
            lost[name] = f"its figures are not as this version writes them ({type(error).__name__})"
    jobs = {job: _joined(runs) for job, runs in by_job.items() if runs}
    if not jobs:
        errors = list(dict.fromkeys(lost.values()))
        said = errors[0] if len(errors) == 1 else "; ".join(f"{name}: {why}" for name, why in lost.items())
        raise UserError(f"no run could be joined: {shown(said, 1000)}")
    summary = {"schema": SCHEMA, "jobs": {name: asdict(job) for name, job in jobs.items()}, "failed": lost}
    tables = {name.replace(" ", "_"): table_of(job) for name, job in jobs.items()}
    return run.finish(JoinedRuns, plain(summary), tables)


def _joined(runs: Mapping[str, tuple[Result, Headline]]) -> JoinedJob:
    headlines = [headline for _, headline in runs.values()]

    def union(names: Sequence[Sequence[str]]) -> list[str]:
        return list(dict.fromkeys(name for each in names for name in each))

    keys = union([headline.keys for headline in headlines])
    columns = union([list(row) for headline in headlines for row in headline.rows])
    settings = differing([result for result, _ in runs.values()], ["run", *keys, *columns])
    rows: list[dict[str, Any]] = [
        {"run": name, **own, **row}
        for (name, (_, headline)), own in zip(runs.items(), settings, strict=True)
        for row in headline.rows
    ]
    return JoinedJob(
        list(runs),
        list(settings[0]),
        keys,
        [name for name in columns if name not in keys],
        union([headline.drawn for headline in headlines]),
        rows,
    )


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Run folders by their paths below the folder that they have in common."""
    real = [folder.resolve() for folder in folders]
    top = os.path.commonpath([folder.parent for folder in real])
    return {path.relative_to(top).as_posix(): given for path, given in zip(real, folders, strict=True)}
