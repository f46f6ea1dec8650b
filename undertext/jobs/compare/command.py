"""`undertext compare`."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from undertext.core.command import job_command
from undertext.jobs.compare.config import CompareConfig


def _listed(given: object) -> object:
    """One text of a YAML file as a list."""
    return (given,) if isinstance(given, str) else given


class CompareCommand(CompareConfig):
    """Was the capability that tells a tuned checkpoint from its base already latent in the weaker one?

    Writes verdict.json, report.html, figures/, tables/ and run.json. With several tuned checkpoints (or a
    pattern), each has that report in a folder of its own below the output folder, which holds result.json,
    report.html, figures/, tables/ and run.json of them all; the exit code is 1 where one could not be
    compared.
    """

    base: str | None = None
    """The base checkpoint: a Hugging Face folder or hub id (owner/name or owner/name@revision), or zoo:NAME
    for a shipped organism."""
    tuned: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    """The tuned checkpoint: a folder, a hub id, zoo:NAME, or the folder of a PEFT adapter. Several are
    compared one after another. A pattern stands for all folders (run/checkpoint-*) or revisions
    (owner/name@step*) that match."""
    task: str | None = None
    """The task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the report is written to."""


run = job_command(
    CompareCommand,
    "compare",
    "undertext.jobs.compare.checkpoints.job.compare_given",
    needs=("base", "tuned", "task", "out"),
    example="compare_chain.yaml",
    plans=True,
)
