"""`undertext trace`."""

from pathlib import Path

from undertext.core.command import job_command
from undertext.jobs.trace.config import TraceConfig


class TraceCommand(TraceConfig):
    """Read the answer along a task's own traces, token by token, by a probe, the logit lens and a tuned
    lens.

    Writes result.json, run.json, report.html, tables/ and figures/.
    """

    checkpoint: str | None = None
    """Checkpoint that reads: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME for a shipped
    organism."""
    task: str | None = None
    """Folder of the task, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


run = job_command(
    TraceCommand,
    "trace",
    "undertext.jobs.trace.job.read_trace",
    needs=("checkpoint", "task", "out"),
    example="trace_chain.yaml",
    plans=True,
)
