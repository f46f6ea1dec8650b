"""A task as a job is given it, and whether its texts fit what is to read them."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.core.config import Grading
from undertext.core.shipped import ZOO
from undertext.core.terms import CHOOSE, FIT
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.function import SECONDS, GradeFunction, named_function
from undertext.tasks.load import load_task
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import REQUIRED_SPLITS, Task
from undertext.tasks.value_positions import reading_text, values_not_said, values_said_twice

BUILT_IN = f"{ZOO}chain"


def open_task(
    source: str | Path | Task,
    config: Grading | None = None,
    *,
    grade: Callable[..., Any] | None = None,
    writes: str | None = None,
) -> Task:
    """A Task; `zoo:chain` as the built-in task of seed 0; all else as a task's folder.

    Problems come in the order of their splits and ids, so that the order of a file's lines moves no figure.

    Args:
        source: a Task, a name or a folder.
        config: names the function that grades a task of kind `python` (`grader`, `grader_seconds`).
        grade: that function itself, `(output, problem) -> bool` or a mapping of `strict`, `lenient`,
        `answer`.
        writes: the job that has checkpoints write answers, where it can do nothing with kind `likelihood`.

    Raises UserError as `load_task`, for another `zoo:` name, a function that cannot be found or lies in the
    task's folder, one for a task of another kind, none for kind `python`, kind `math` without math-verify,
    and kind `likelihood` where the job writes.
    """
    if isinstance(source, Task):
        task = source
    elif not str(source).startswith(ZOO):
        task = load_task(source)
    elif source == BUILT_IN:
        task = new_chain(0)
    else:
        raise UserError(f"no task {str(source)!r}; the built-in one is {BUILT_IN}")
    given = {split: i for i, split in enumerate([*REQUIRED_SPLITS, *sorted(task.splits)][::-1])}
    ordered = sorted(task.problems, key=lambda problem: (-given[problem.split], problem.id))
    task = task.model_copy(update={"problems": ordered})
    seconds = SECONDS if config is None else config.grader_seconds
    if grade is not None:
        task = task.graded_by(GradeFunction(grade, getattr(grade, "__qualname__", repr(grade)), seconds))
    elif config is not None and config.grader is not None:
        folder = None if isinstance(source, Task) or str(source).startswith(ZOO) else Path(source)
        task = task.graded_by(named_function(config.grader, folder, seconds))
    if writes is not None and task.grader.kind == "likelihood":
        raise UserError(
            f"`{writes}` has checkpoints write answers, and the task's are chosen by likelihood: expected a "
            "grader of another kind (`undertext compare` and `undertext steer` take this one)"
        )
    if config is not None:
        OutputGrader(task)
    return task


def task_record(task: Task) -> dict[str, Any]:
    """A task in a report: its `name`, `description`, `fingerprint`, and how many `problems` a split has.

    `max_new_tokens` and `stop` are where outputs end; `chosen` names those that the task does not give.
    `values_not_said` and `values_said_twice` count, by value, the places where it is not read, since its step
    does not say it, or says it earlier too.
    """
    text, function = task.model_dump_json(), task.function
    if function is not None:
        text += function.name + function.source
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {
        "name": task.name,
        "description": task.description,
        "fingerprint": digest,
        "problems": {split: len(task.split(split)) for split in task.splits},
        "max_new_tokens": task.max_new_tokens,
        "stop": list(task.stop),
        "chosen": [name for name in ("max_new_tokens", "stop") if name not in task.model_fields_set],
        "values_not_said": values_not_said(task.problems),
        "values_said_twice": values_said_twice(task.problems),
    }


def splits_to_report(task: Task, named: Sequence[str] | None) -> list[str]:
    """The splits named, or all but train and dev. UserError for one that the task lacks, or these two."""
    splits = list(named) if named is not None else [s for s in task.splits if s not in (FIT, CHOOSE)]
    if not splits:
        raise UserError("expected a split to judge or more, got none")
    for split in splits:
        task.split(split)
        if split in (FIT, CHOOSE):
            raise UserError(
                f"probes are fitted on train and settings chosen on dev: {split!r} cannot be judged"
            )
    return list(dict.fromkeys(splits))


def texts_of(task: Task) -> set[str]:
    """Every text of a task that is read: prompts, traces after them, both sides of contrasts."""
    texts = {text for problem in task.problems for text in (problem.prompt, reading_text(problem))}
    sides = [side for each in task.contrasts for side in (each.positive, each.negative)]
    return texts | {problem.worded(side) for side in sides for problem in task.split(FIT)}


def check_fits(checkpoint: Checkpoint, task: Task, split: str, *, room: int = 0) -> None:
    """Raise UserError where a text of this split will not fit the context, before any long work.

    `room` is how many tokens will be written after a prompt.
    """
    problems = task.split(split)
    checkpoint.encode([problem.prompt for problem in problems], room=room)
    checkpoint.encode([reading_text(problem) for problem in problems])


def check_task_fits(checkpoints: Sequence[Checkpoint], task: Task, splits: Sequence[str]) -> None:
    """Raise UserError where a text of train, dev or these splits, or a contrast, will not fit the context."""
    for split in dict.fromkeys([FIT, CHOOSE, *splits]):
        for checkpoint in checkpoints:
            check_fits(checkpoint, task, split, room=task.max_new_tokens)
            if split == FIT:
                for contrast in task.contrasts:
                    for side in (contrast.positive, contrast.negative):
                        checkpoint.encode([problem.worded(side) for problem in task.split(split)])
