"""`undertext sae train|features|diff`."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from undertext.core.command import run_subcommand

ABOUT = {
    "train": "train an SAE of a checkpoint, of what tuning added, or a crosscoder of both",
    "features": "which task values each SAE feature predicts, and whether it survives falsification",
    "diff": "what became of the features of an SAE in a tuned checkpoint",
}


def run(args: Sequence[str]) -> int:
    """Run the job that the first argument names."""
    commands: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
        job: (partial(_run, job), about) for job, about in ABOUT.items()
    }
    return run_subcommand("sae", args, commands)


def _run(job: str, args: Sequence[str]) -> int:
    # By name: the jobs do not know each other, and none is loaded for another.
    return int(import_module(f"undertext.jobs.sae_{job}.command").run(args))
