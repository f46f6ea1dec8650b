"""`undertext sae diff`."""

from pathlib import Path

from undertext.core.command import job_command
from undertext.jobs.sae_diff.config import DiffConfig


class DiffCommand(DiffConfig):
    """What became of the features of an SAE in a tuned checkpoint, or which model a crosscoder's latents
    belong to.

    Writes tables/, figures/, result.json, report.html (base and tuned side by side) and run.json.
    """

    base: str | None = None
    """Base checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    tuned: str | None = None
    """Tuned checkpoint: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME."""
    sae: str | None = None
    """SAE whose features are followed: a folder that sae-lens saved, or a release with an sae_id."""
    sae_id: str | None = None
    """Name of the SAE within the release."""
    crosscoder: Path | None = None
    """Folder of a crosscoder that `sae train` made, in place of an SAE."""
    task: str | None = None
    """Task whose texts are read: a folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


run = job_command(
    DiffCommand,
    "sae diff",
    "undertext.jobs.sae_diff.job.feature_diff",
    needs=("base", "tuned", "task", "out"),
    example="diff_chain.yaml",
    plans=True,
)
