"""`undertext compare`."""

from pathlib import Path

from undertext.core.command import job_command
from undertext.jobs.compare.config import CompareConfig


class CompareCommand(CompareConfig):
    """Was the capability that tells a tuned checkpoint from its base already latent in the weaker one?

    Writes verdict.json, report.html, figures/, tables/ and run.json.
    """

    base: str | None = None
    """The base checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    tuned: str | None = None
    """The tuned checkpoint: a folder, a hub id, zoo:NAME, or the folder of a PEFT adapter."""
    task: str | None = None
    """The task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the report is written to."""


run = job_command(
    CompareCommand,
    "compare",
    "undertext.jobs.compare.job.compare",
    needs=("base", "tuned", "task", "out"),
    example="compare_chain.yaml",
)
