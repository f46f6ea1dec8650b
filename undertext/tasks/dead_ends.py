"""Which steps of a trace stand in a dead end: by the task's own steps, or by a function of the user's own.

A step stands in a dead end where no way on from it reaches a right answer. The task says so of its own steps
(`dead`); what a checkpoint writes is held against these, or handed to a function, which runs in a process of
its own and is ended where a trace takes too long.
"""

from collections.abc import Sequence

from undertext.tasks.same_steps import as_own
from undertext.tasks.step_function import FlagFunction
from undertext.tasks.task import Problem, Task

States = list[bool | None]
"""Of each step of a trace whether it stands in a dead end; None where that is not known."""


def names_dead_ends(task: Task) -> bool:
    """Whether a step of the task stands in a dead end: then those that are not marked do not."""
    return any(step.dead for problem in task.problems for step in problem.steps)


def own_states(problem: Problem, count: int) -> States:
    """The first `count` of the problem's own steps; unknown where it has none."""
    return [step.dead for step in problem.steps[:count]] if problem.steps else [None] * count


def written_states(problem: Problem, texts: Sequence[str]) -> States:
    """Steps that a checkpoint wrote: those of the problem's steps that say the same, white space aside.

    Unknown are steps that the problem does not have, and those that it has both in a dead end and outside.
    """
    return as_own(problem, texts, lambda step: step.dead)


class StateFunction(FlagFunction):
    """A user's `(steps, problem) -> whether each step stands in a dead end`."""

    what, things = "a function that says which steps are dead", "states"
