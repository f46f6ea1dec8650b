"""`undertext trace`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.core.command import parse, say
from undertext.core.config import part_of
from undertext.core.output import PAGE
from undertext.jobs.trace.config import TraceConfig
from undertext.jobs.trace.job import read_trace
from undertext.report.numbers import number


class TraceCommand(TraceConfig):
    """Read the answer along a task's own traces, token by token, by a probe, the logit lens and a tuned lens.

    Writes result.json, run.json, report.html, tables/ and figures/. `--config FILE` reads any of these
    options from a YAML file; flags override the file. A job that was killed goes on from its finished parts.
    """

    checkpoint: str | None = None
    """Checkpoint that reads: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME for a shipped
    organism."""
    task: str | None = None
    """Folder of the task, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Read, write the results, print how early each reader reads the answer."""
    given = parse(TraceCommand, "trace", args, needs=("checkpoint", "task", "out"))
    result = read_trace(given.checkpoint, given.task or "", config=part_of(TraceConfig, given), out=given.out)
    for lead in result.by_layer:
        say(
            f"{lead.reader.replace('_', ' ')}, layer {lead.layer}: right when said "
            f"{number(lead.right_when_said)}, early {number(lead.early)} ({lead.problems} problems)"
        )
    say(f"report: {given.out}/{PAGE}")
    return 0
