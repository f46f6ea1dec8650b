"""The line `used`: whether both checkpoints of a pair use the values of the steps."""

from collections.abc import Mapping, Sequence

import numpy as np

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.core.resume import Done
from undertext.core.statistics import Clusters, among
from undertext.core.terms import CHOOSE, FIT
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.raw_line import RawLine
from undertext.measures.patching.used import DRAWS, Used, measure_used, value_used, with_counterfactuals
from undertext.measures.trace.continued import of_outputs, say_values
from undertext.tasks.draws import drawn
from undertext.tasks.task import Task

NOT_GRADED = ("python", "reasoning_gym", "likelihood")
"""Kinds of graders that hold an output against no other answer than the problem's own."""

MOST = 48
"""Problems of dev, and of the gap, into which another value is put."""


def use_of(
    weaker: Checkpoint,
    stronger: Checkpoint,
    tasks: tuple[Task, Task],
    split: str,
    gap: Sequence[int],
    points: Sequence[HookPoint],
    config: CompareConfig,
    outputs: Mapping[str, Sequence[str]] | None,
    done: Done,
) -> dict[str, Used] | str:
    """Put other problems' values into both checkpoints, on the problems in the gap of a split.

    `tasks` are the task as the weaker and as the stronger reads it; `outputs` are the stronger's by split,
    train and dev among them, whose steps stand in where the task has none. The text says why there is no
    measurement.
    """
    own, theirs = tasks
    if own.grader.kind in NOT_GRADED:
        return "a counterfactual answer cannot be graded: `used` was not measured"
    splits = (FIT, CHOOSE, split)
    if not say_values(own.split(FIT)):
        if outputs is None or any(name not in outputs for name in splits):
            return "no step says a value that is still to be said: `used` was not measured"
        own, theirs = (_of_outputs(task, {name: outputs[name] for name in splits}) for task in tasks)
    found = value_used(own.split(FIT), weaker)
    if isinstance(found, str):
        return f"{found}: `used` was not measured"
    name, values = found
    seed, size, judged = config.seed, config.batch_size, theirs.split(split)
    asked = [*drawn(theirs.split(CHOOSE), seed, MOST), *drawn([judged[i] for i in gap], seed, MOST)]
    theirs, re_asked = with_counterfactuals(stronger, theirs, asked, name, values, seed=seed, batch_size=size)
    own = _with_steps(own, theirs) if re_asked else own
    try:
        return {
            who: measure_used(
                checkpoint, task, split, gap, name, points, seed=seed, most=MOST, batch_size=size,
                progress=done,
            )
            for who, checkpoint, task in (("weaker", weaker, own), ("stronger", stronger, theirs))
        }  # fmt: skip
    except UserError as error:
        return f"`used` was not measured: {error}"


def _of_outputs(task: Task, outputs: Mapping[str, Sequence[str]]) -> Task:
    made = [each for split, texts in outputs.items() for each in of_outputs(task.split(split), texts)]
    return task.model_copy(update={"problems": made})


def _with_steps(task: Task, other: Task) -> Task:
    """The task with the other's steps, which are its own with more counterfactual answers."""
    steps = {problem.id: problem.steps for problem in other.problems}
    problems = [problem.model_copy(update={"steps": steps[problem.id]}) for problem in task.problems]
    return task.model_copy(update={"problems": problems})


def used_line(used: Mapping[str, Used], units: Clusters = None) -> RawLine | None:
    """The line `used` over the problems in the gap that have a pair in both checkpoints; None without any."""
    low, high = used["weaker"], used["stronger"]
    moved = {who: dict(zip(each.problems, each.moved, strict=True)) for who, each in used.items()}
    by_chance = {who: dict(zip(each.problems, each.by_chance, strict=True)) for who, each in used.items()}
    problems = [i for i in low.problems if i in moved["stronger"]]
    if not problems:
        return None
    nulls = {who: np.array([chance[i] for i in problems]) for who, chance in by_chance.items()}
    return RawLine(
        name="used",
        problems=np.array(problems),
        clusters=among(units, np.array(problems)),
        weaker=np.array([float(moved["weaker"][i]) for i in problems]),
        stronger=np.array([float(moved["stronger"][i]) for i in problems]),
        null=max(nulls.values(), key=lambda null: float(null.mean())),
        access="the trace",
        note=f"another problem's {low.name} put in where a step is about to say its own, in the subspace of "
        f"the classes' means (layer {low.layer}, the stronger's {high.layer}): the answer that follows from "
        f"it, on {len(problems)} problems; null: {DRAWS} random subspaces of this size under the same search",
    )
