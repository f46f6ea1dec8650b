"""`undertext task`: writes the built-in task or an imported one as a folder, and checks a task's folder."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.command import parse, run_subcommand, say
from undertext.core.config import Config, Grading, Seed
from undertext.core.printable import printable, shown
from undertext.tasks.builtin.chain import MOST_OOD, new_chain
from undertext.tasks.checking import check_answers, check_outputs, read_outputs, report, write_table
from undertext.tasks.draws import check_prompts, few_problems
from undertext.tasks.load import load_task
from undertext.tasks.open import open_task
from undertext.tasks.value_positions import values_not_said, values_said_twice
from undertext.tasks.write import write_task

BUILT_IN = ("chain",)


class NewCommand(Config):
    """Write the built-in `chain` task as a folder, in the format of docs/tasks.md."""

    out: Path | None = None
    """Folder to write; an existing folder must be empty."""
    seed: Seed = 0
    """Random seed of the problems."""
    train: int = Field(default=400, ge=1)
    """Number of problems that probes and vectors are fitted on."""
    dev: int = Field(default=120, ge=1)
    """Number of problems that settings are chosen on."""
    test: int = Field(default=300, ge=1)
    """Number of problems that the verdict is on."""
    ood: int = Field(default=400, ge=0, le=MOST_OOD)
    """Number of problems longer than those of the other splits."""


class CheckCommand(Grading):
    """Check a task's folder, and show what its grader takes as the answer: `undertext task check DIR`."""

    outputs: Path | None = None
    """File of sample outputs to grade: JSON lines with the `id` of a problem and an `output`."""
    rows: int = Field(default=20, ge=0, le=100_000)
    """Number of outputs that are shown of each outcome, at most."""
    table: Path | None = None
    """File that a row for each output is written to, .parquet or .csv."""


def run(args: Sequence[str]) -> int:
    """Run `undertext task` with these arguments."""
    return run_subcommand(
        "task",
        args,
        {
            "new": (_new, "write the built-in task `chain` as a folder: undertext task new chain --out DIR"),
            "from": (_from, "write a task from what there is: undertext task from KIND SOURCE --out DIR"),
            "check": (_check, "check a task's folder and its grader: undertext task check DIR"),
        },
    )


def _new(args: Sequence[str]) -> int:
    name = args[0] if args and not args[0].startswith("-") else None
    given = parse(NewCommand, "task new chain", args if name is None else args[1:])
    if name not in BUILT_IN:
        raise UserError(
            f"expected the name of a built-in task: {', '.join(BUILT_IN)}; got {shown(name or 'nothing')}"
        )
    if given.out is None:
        raise UserError("expected --out (as a flag, or as a key of --config FILE)")
    task = new_chain(given.seed, train=given.train, dev=given.dev, test=given.test, ood=given.ood)
    write_task(task, given.out)
    say(f"{printable(str(given.out))}: {len(task.problems)} problems")
    return 0


def _from(args: Sequence[str]) -> int:
    from undertext.tasks.importers.command import run as run_from

    return run_from(args)


def _check(args: Sequence[str]) -> int:
    folder = args[0] if args and not args[0].startswith("-") else None
    given = parse(CheckCommand, "task check DIR", args if folder is None else args[1:])
    if folder is None:
        raise UserError("expected a task's folder first: undertext task check DIR")
    if given.table is not None and (given.outputs is None or given.table.suffix not in (".parquet", ".csv")):
        raise UserError("expected --table FILE.parquet or FILE.csv, beside --outputs FILE")
    task = load_task(folder)
    counts = ", ".join(f"{split} {len(task.split(split))}" for split in task.splits)
    say(f"{printable(folder)}: {printable(task.name)} is a valid task ({counts})")
    warnings = check_prompts(task)
    for problem, said in (("not said", values_not_said), ("said twice", values_said_twice)):
        for name, count in said(task.problems).items():
            warnings.append(
                f"value {shown(name)}: {problem} by its step in {count} places, and not used there"
            )
    warnings += few_problems(task)
    for warning in warnings:
        say(f"warning: {warning}")
    if task.grader.kind == "python" and given.grader is None and given.outputs is None:
        say("warning: graded by a function (kind python): give --grader module:function to check grades")
        return 0
    task = open_task(folder, given)
    if wrong := check_answers(task):
        say(f"warning: {len(wrong)} of the task's own answers are not graded right")
        for each in wrong[: given.rows]:
            say(each.line())
    if given.outputs is not None:
        checked = check_outputs(task, read_outputs(given.outputs, task))
        for line in report(checked, given.rows):
            say(line)
        if given.table is not None:
            write_table(checked, given.table)
            say(f"table: {printable(str(given.table))}")
    return 0
