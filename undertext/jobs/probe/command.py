"""`undertext probe`."""

from pathlib import Path

from pydantic import Field

from undertext.core.command import job_command
from undertext.jobs.probe.config import Name, ProbeConfig


class ProbeCommand(ProbeConfig):
    """Read the values of many tasks on many checkpoints, at every layer and position, beside controls.

    Writes result.json, run.json, report.html, tables/ and figures/.
    """

    checkpoints: dict[Name, str] = Field(default_factory=dict)
    """Checkpoints by name: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME for a shipped
    organism."""
    tasks: dict[Name, str] = Field(default_factory=dict)
    """Tasks by name: a task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


run = job_command(
    ProbeCommand,
    "probe",
    "undertext.jobs.probe.job.probe",
    needs=("checkpoints", "tasks", "out"),
    example="probe_chain.yaml",
    plans=True,
)
