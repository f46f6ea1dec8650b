"""`undertext measure`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.core.command import job_command
from undertext.jobs.measure.config import MeasureConfig


class MeasureCommand(MeasureConfig):
    """Is the reasoning that a checkpoint writes real, and what did tuning do to it? Measures are named first:
    undertext measure information style --base ... (all of them where none is named).

    Writes result.json, run.json, report.html, tables/ and figures/.
    """

    base: str | None = None
    """Checkpoint that is measured, the base where there are two: a Hugging Face folder or hub id, or zoo:NAME
    for a shipped organism."""
    tuned: str | None = None
    """Tuned checkpoint: a Hugging Face folder or hub id, zoo:NAME, or the folder of a PEFT adapter; None
    measures the base alone."""
    task: str | None = None
    """Folder of the task, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


_run = job_command(
    MeasureCommand,
    "measure",
    "undertext.jobs.measure.job.measure",
    needs=("base", "task", "out"),
    example="measure_chain.yaml",
    plans=True,
)


def run(args: Sequence[str]) -> int:
    """Run the command; what stands before the first flag are names of measures."""
    first = next((i for i, arg in enumerate(args) if arg.startswith("-")), len(args))
    return _run([*args[first:], *(["--names", *args[:first]] if first else [])])
