"""`undertext probe`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.jobs.probe.config import Name, ProbeConfig
from undertext.jobs.probe.job import probe
from undertext.jobs.probe.result import TABLE


class ProbeJob(ProbeConfig):
    """Read the values of many tasks on many checkpoints, at every layer and position, with controls.

    Writes probes.parquet, figures/ and run.json. Stopped and called again, it goes on. `--config FILE` reads
    any of these options from a YAML file; flags override it.
    """

    checkpoints: dict[Name, str] = Field(default_factory=dict)
    """By name: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME for a shipped organism."""
    tasks: dict[Name, str] = Field(default_factory=dict)
    """By name: a task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder the table is written to."""


def run(args: Sequence[str]) -> int:
    """Probe, write, say where."""
    job = parse(ProbeJob, "probe", args)
    missing = [name for name in ("checkpoints", "tasks", "out") if not getattr(job, name)]
    if missing:
        raise UserError(f"expected --{', --'.join(missing)} (as a flag, or as a key of --config FILE)")
    config = ProbeConfig(**{name: getattr(job, name) for name in ProbeConfig.model_fields})
    result = probe(job.checkpoints, job.tasks, config=config, out=job.out)
    say(f"{result!r}")
    say(f"table: {job.out}/{TABLE}")
    return 0
