"""`undertext task new` and `undertext task check`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.config import Config, Seed
from undertext.core.printable import printable, shown
from undertext.tasks.builtin.chain import MOST_OOD, new_chain
from undertext.tasks.load import load_task
from undertext.tasks.shared_prompts import check_prompts
from undertext.tasks.value_positions import values_not_said, values_said_twice
from undertext.tasks.write import write_task

USAGE = "undertext task new chain --out DIR [--seed S] | undertext task check DIR"


class NewJob(Config):
    """Write the built-in `chain` task as a folder, in the format of docs/tasks.md."""

    out: Path
    """Folder to write; it must not exist, or be empty."""
    seed: Seed = 0
    """Which problems are drawn."""
    train: int = Field(default=400, ge=1)
    """Problems that probes and vectors are fitted on."""
    dev: int = Field(default=120, ge=1)
    """Problems that settings are chosen on."""
    test: int = Field(default=300, ge=1)
    """Problems that the verdict is on."""
    ood: int = Field(default=400, ge=0, le=MOST_OOD)
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
        warnings = check_prompts(task)
        say(f"{printable(args[1])}: {printable(task.name)} is a valid task ({counts})")
        for name, count in values_not_said(task.problems).items():
            warnings.append(
                f"value {shown(name)}: not said by its step in {count} places, and not used there"
            )
        for name, count in values_said_twice(task.problems).items():
            warnings.append(
                f"value {shown(name)}: said twice by its step in {count} places, and not used there"
            )
        for warning in warnings:
            say(f"warning: {warning}")
        return 0
    if set(args) & {"-h", "--help"}:
        say(f"usage: {USAGE}")
        return 0
    raise UserError(f"expected {USAGE}")
