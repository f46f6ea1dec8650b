"""`undertext task new` and `undertext task check`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.config import Config
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.load import load_task
from undertext.tasks.write import write_task

USAGE = "undertext task new chain --out DIR [--seed S] | undertext task check DIR"


class NewJob(Config):
    """Write the built-in `chain` task as a folder, in the format of docs/tasks.md."""

    out: Path
    """Folder to write; it must not exist, or be empty."""
    seed: int = Field(default=0, ge=0)
    """Which problems are drawn."""
    train: int = Field(default=400, ge=1)
    """Problems that probes and vectors are fitted on."""
    dev: int = Field(default=120, ge=1)
    """Problems that settings are chosen on."""
    test: int = Field(default=300, ge=1)
    """Problems that the verdict is on."""
    ood: int = Field(default=400, ge=0)
    """Longer problems than any in the other splits."""


def run(args: Sequence[str]) -> int:
    """Dispatch."""
    if args[:2] == ["new", "chain"]:
        job = parse(NewJob, "task new chain", args[2:])
        task = new_chain(job.seed, train=job.train, dev=job.dev, test=job.test, ood=job.ood)
        write_task(task, job.out)
        say(f"{job.out}: {len(task.problems)} problems")
        return 0
    if args[:1] == ["new"] and not set(args) & {"-h", "--help"}:
        raise UserError(
            f"expected the name of a built-in task: chain; got {args[1] if len(args) > 1 else 'nothing'!r}"
        )
    if args[:1] == ["check"] and len(args) == 2 and not args[1].startswith("-"):
        task = load_task(args[1])
        counts = ", ".join(f"{split} {len(task.split(split))}" for split in task.splits)
        say(f"{args[1]}: {task.name} is a valid task ({counts})")
        return 0
    if set(args) & {"-h", "--help"}:
        say(f"usage: {USAGE}")
        return 0
    raise UserError(f"expected {USAGE}")
