"""`undertext probe`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from undertext.core.command import parse, say
from undertext.core.config import part_of
from undertext.core.output import PAGE
from undertext.jobs.probe.config import Name, ProbeConfig
from undertext.jobs.probe.job import probe


class ProbeCommand(ProbeConfig):
    """Read the values of many tasks on many checkpoints, at every layer and position, beside controls.

    Writes result.json, run.json, report.html, tables/ and figures/. `--config FILE` reads any of these
    options from a YAML file; flags override the file. A job that was killed goes on from its finished parts.
    """

    checkpoints: dict[Name, str] = Field(default_factory=dict)
    """Checkpoints by name: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME for a shipped
    organism."""
    tasks: dict[Name, str] = Field(default_factory=dict)
    """Tasks by name: a task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Probe, write the results, say where they are."""
    given = parse(ProbeCommand, "probe", args, needs=("checkpoints", "tasks", "out"))
    result = probe(given.checkpoints, given.tasks, config=part_of(ProbeConfig, given), out=given.out)
    say(f"{result!r}")
    say(f"report: {given.out}/{PAGE}")
    return 0
