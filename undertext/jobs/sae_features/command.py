"""`undertext sae features`."""

from pathlib import Path

from undertext.core.command import job_command
from undertext.jobs.sae_features.config import FeaturesConfig


class FeaturesCommand(FeaturesConfig):
    """Which task values each SAE feature predicts, and whether the feature survives falsification.

    Writes tables/, figures/, result.json, report.html with a page for each of the features most
    associated with the task's values, and run.json.
    """

    sae: str | None = None
    """SAE to measure: a folder that sae-lens saved, or a release of its table or of the hub, with an
    sae_id."""
    sae_id: str | None = None
    """Name of the SAE within the release."""
    checkpoint: str | None = None
    """Checkpoint that the SAE reads: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME."""
    task: str | None = None
    """Task whose texts are read: a folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


run = job_command(
    FeaturesCommand,
    "sae features",
    "undertext.jobs.sae_features.job.feature_table",
    needs=("sae", "checkpoint", "task", "out"),
    example="features_chain.yaml",
    plans=True,
)
