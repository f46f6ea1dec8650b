"""`undertext report`."""

import shlex
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.config import given_command, part_of
from undertext.core.output import PAGE
from undertext.jobs.runs.config import RunsConfig


class ReportCommand(RunsConfig):
    """Join finished runs, of one job or several, in one table a job and one figure.

    `undertext report DIR... --out OUT`: each DIR is the folder of a run, or one with runs below it. A run
    that cannot be read is named, the others are joined, and the exit code is 1.
    """

    runs: tuple[Path, ...] = ()
    """Folders of runs, or with runs below them; the same as the folders that stand before all flags."""
    out: Path | None = None
    """Folder that the report is written to; None prints the table alone."""


def run(args: Sequence[str]) -> int:
    """Join the runs in the folders that `args` begins with."""
    folders = list(takewhile(lambda arg: not arg.startswith("-"), args))
    given = parse(ReportCommand, "report", args[len(folders) :])
    from undertext.jobs.runs.job import join_runs

    runs = [*map(Path, folders), *given.runs]
    if not runs:
        raise UserError("expected folders of runs: undertext report DIR... --out OUT")
    token = given_command.set(shlex.join(["undertext", "report", *args]))
    try:
        result = join_runs(*runs, config=part_of(RunsConfig, given), out=given.out)
    finally:
        given_command.reset(token)
    for line in result.lines():
        say(line)
    if given.out is not None:
        say(f"report: {given.out / PAGE}")
    return result.code
