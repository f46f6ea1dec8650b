"""The runs of a grid, one after another, each in a folder of its own, and then joined."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError
from undertext.core.config import given_command
from undertext.core.grid import Grid
from undertext.core.job import FinishedBefore, finished_stays, job_run
from undertext.core.output import PAGE
from undertext.core.progress import Progress
from undertext.core.result import NotSaved
from undertext.jobs.runs.config import RunsConfig
from undertext.jobs.runs.folders import JOINED, Opened, open_run
from undertext.jobs.runs.job import joined

Call = Callable[..., Any]
"""Runs a job with a config; what is given by name takes the place of its arguments."""


def run_grid(grid: Grid[Any], call: Call, say: Callable[[str], None]) -> int:
    """Run what of a grid is not finished in its folder below `out`, join all, and give the exit code.

    A run that ends in a UserError is reported, and the others go on: the code is then 1. `say` prints a line.
    Raises UserError where no run can be finished, and where `out` cannot be written or holds a report of
    another job.
    """
    first = grid.runs[0].config
    out: Path = first.out
    opened: dict[str, Opened] = {}
    failed: dict[str, str] = {}
    code = 0
    with job_run(JOINED, RunsConfig(overwrite=first.overwrite), out, None) as run:
        run.begin()
        for i, each in enumerate(grid.runs):
            name, at, said = each.name, out / each.name, "done"
            try:
                try:
                    with _as_run(at, name):
                        call(each.config, out=at, progress=Progress(None, f"{name}: "))
                except FinishedBefore:
                    said = "finished before"
                job, result = open_run(at)
                code = max(code, result.code)
                opened[name] = Opened(job, replace(result, tables={}))
            except UserError as error:
                if isinstance(error, NotSaved):
                    for line in error.result.lines():
                        say(f"{name}: {line}")
                as_before = next((one for one, why in failed.items() if why == str(error)), None)
                said = f"failed: {error}" if as_before is None else f"failed as {as_before} did"
                failed[name] = str(error)
            say(f"{i + 1} of {len(grid.runs)}, {name}: {said}")
            gc.collect()  # so that the checkpoints are gone before the next are loaded
        together = joined(run, opened, failed)
    for line in together.lines():
        say(line)
    say(f"report: {out / PAGE}")
    return max(code, together.code)


@contextmanager
def _as_run(out: Path, name: str) -> Iterator[None]:
    """The body as the run `name` of a grid: left as it is where it is finished, and under a command that says
    which run it is, in a comment."""
    stays = finished_stays.set(out)
    command = given_command.get()
    said = given_command.set(None if command is None else f"{command}  # {name}")
    try:
        yield
    finally:
        given_command.reset(said)
        finished_stays.reset(stays)
