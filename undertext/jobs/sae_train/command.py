"""`undertext sae train`."""

from pathlib import Path

from undertext.core.command import job_command
from undertext.jobs.sae_train.config import TrainConfig


class TrainCommand(TrainConfig):
    """Train an SAE of a checkpoint, of what tuning added to it, or a crosscoder of both.

    Captures into OUT/activations, trains by sae-lens into OUT/sae in its format, and writes
    result.json (recovered loss, explained variance, L0, dead share), run.json, report.html, tables/
    and figures/.
    """

    checkpoint: str | None = None
    """Checkpoint to read: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME; the base of a
    pair."""
    tuned: str | None = None
    """Tuned checkpoint, for a difference and for a crosscoder."""
    task: str | None = None
    """Task whose texts are read: a folder, or zoo:chain for the built-in task."""
    texts: Path | None = None
    """File with a text on each line, in place of a task."""
    store: Path | None = None
    """Folder of activations that were captured before, in place of a task and of texts."""
    out: Path | None = None
    """Folder that the results are written to."""


run = job_command(
    TrainCommand,
    "sae train",
    "undertext.jobs.sae_train.job.train_dictionary",
    needs=("out",),
    example="sae_chain.yaml",
    plans=True,
)
