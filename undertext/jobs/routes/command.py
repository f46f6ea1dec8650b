"""`undertext routes`."""

from pathlib import Path

from undertext.core.command import job_command
from undertext.jobs.routes.config import RoutesConfig


class RoutesCommand(RoutesConfig):
    """How much of the gap does each way to elicit it recover, on the same problems, within the same
    tokens?

    Prints one table and the routes' agreement; with --out writes result.json, run.json,
    report.html, tables/ and figures/.
    """

    checkpoint: str | None = None
    """Weaker checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    stronger: str | None = None
    """Stronger checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    task: str | None = None
    """Folder of the task, or zoo:chain for the built-in task."""
    vectors: tuple[Path, ...] = ()
    """Files of vectors that are measured as well: .safetensors of `steering.save_vector`, or .gguf of
    llama.cpp."""
    out: Path | None = None
    """Folder that the results are written to."""


run = job_command(
    RoutesCommand,
    "routes",
    "undertext.jobs.routes.job.routes",
    needs=("checkpoint", "stronger", "task"),
    example="routes_chain.yaml",
    plans=True,
)
