"""`undertext steer`."""

from pathlib import Path

from undertext.core.command import job_command
from undertext.jobs.steer.config import SteerConfig


class SteerCommand(SteerConfig):
    """What can be recovered in a checkpoint with a vector, and no training, beside controls alike?

    Writes result.json, run.json, report.html, tables/ and figures/.
    """

    checkpoint: str | None = None
    """Checkpoint to steer: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    stronger: str | None = None
    """Stronger checkpoint, from which the gap is computed and vectors are made; None leaves out the gap and
    these vectors."""
    task: str | None = None
    """Folder of the task, or zoo:chain for the built-in task."""
    vectors: tuple[Path, ...] = ()
    """Files of further vectors: .safetensors of `steering.save_vector`, or .gguf of llama.cpp."""
    out: Path | None = None
    """Folder that the results are written to."""


run = job_command(
    SteerCommand,
    "steer",
    "undertext.jobs.steer.job.steer",
    needs=("checkpoint", "task", "out"),
    example="steer_chain.yaml",
    plans=True,
)
