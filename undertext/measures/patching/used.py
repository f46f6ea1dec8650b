"""Whether a checkpoint uses the values of its steps: with another problem's put in, does the answer follow?

Interchange where a step is about to say a value, the right steps before it given. What can be read need not
be used: the answer must become the one that follows from the other value, and not by random subspaces.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import FIT
from undertext.measures.patching.interchange import MAX_CLASSES, measure_interchange
from undertext.measures.patching.re_asking import re_asked
from undertext.measures.patching.subspaces import of_means
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import unsaid_positions
from undertext.tasks.value_tokens import locate_values, readable_values

DRAWS = 3
"""Random subspaces beside the value's own."""


@dataclass(frozen=True, eq=False)
class Used:
    """Whether answers follow the value that was put in."""

    problems: list[int]
    """Indices in the split, in order."""
    moved: list[bool]
    """Whether the answer became that of the other value."""
    by_chance: list[float]
    """The same in random subspaces of the same size: the share of the draws."""
    name: str
    """Of the value."""
    layer: int
    """Where it was put in, chosen on dev."""


def value_used(problems: Sequence[Problem], checkpoint: Checkpoint) -> tuple[str, list[str]] | str:
    """The value of steps that a checkpoint's use of can be looked at, and its classes; or why there is none.

    The one that most steps say, of those that a probe can be fitted to; `problems` are those of train.
    """
    sites = locate_values(checkpoint, problems)
    said = {p.name for each in problems for p in unsaid_positions(each) if p.said_end is not None}
    classes = {name: labels for name, labels in readable_values(sites, MAX_CLASSES).items() if name in said}
    if not classes:
        return f"no step says a value that is still to be said, of at most {MAX_CLASSES} distinct ones"
    name = max(sorted(classes), key=lambda each: len(sites.rows(each)))
    return name, classes[name]


def with_counterfactuals(
    stronger: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    name: str,
    values: Sequence[str],
    *,
    seed: int,
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> tuple[Task, bool]:
    """The task with answers that follow from other values, and whether the `stronger` was asked for them.

    The task's own where it declares any for the value; else these of its `problems` are re-asked
    (`re_asking.re_asked`).
    """
    if any(name in step.counterfactuals for problem in problems for step in problem.steps):
        return task, False
    answered = re_asked(
        stronger, task, problems, name, values, seed=seed, batch_size=batch_size, progress=progress
    )
    by_id = {problem.id: problem for problem in answered}
    return task.model_copy(update={"problems": [by_id.get(p.id, p) for p in task.problems]}), True


def measure_used(
    checkpoint: Checkpoint,
    task: Task,
    split: str,
    among: Sequence[int],
    name: str,
    points: Sequence[HookPoint],
    *,
    seed: int,
    most: int,
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Used:
    """Interchange of the value `name` on the problems `among` of a split, at most `most` of them.

    The subspace is the one in which the means of the value's classes differ; its hook point, and that of each
    random subspace, is the best on dev. Raises UserError where no two problems can exchange the value.
    """
    classes = {site.value for p in task.split(FIT) for site in unsaid_positions(p) if site.name == name}
    found = measure_interchange(
        checkpoint, task, split, name=name, points=points, sizes=[_size(checkpoint, points, len(classes))],
        subspaces={"means": of_means}, draws=DRAWS, most=most, among=among, seed=seed, batch_size=batch_size,
        progress=progress,
    )  # fmt: skip
    kinds = [each.kind == 0 for each in (found.subspace, *found.random)]  # 0: the counterfactual answer
    return Used(
        problems=[pair.problem for pair in found.pairs],
        moved=kinds[0].tolist(),
        by_chance=np.mean(kinds[1:], axis=0).tolist(),
        name=name,
        layer=found.point.layer,
    )


def _size(checkpoint: Checkpoint, points: Sequence[HookPoint], classes: int) -> int:
    return min(classes - 1, *(checkpoint.width(point) for point in points))
