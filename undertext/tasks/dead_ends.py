"""Which steps of a trace stand in a dead end: by the task's own steps, or by a function of the user's own.

A step stands in a dead end where no way on from it reaches a right answer. The task says so of its own steps
(`dead`); what a checkpoint writes is held against these, or handed to a function, which runs in a process of
its own and is ended where a trace takes too long.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError, shown
from undertext.tasks.function import imported, source_of
from undertext.tasks.task import Problem, Task
from undertext.tasks.worker import TooLong, Worker

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
    known: dict[str, bool | None] = {}
    for step in problem.steps:
        text = _plain(step.text)
        known[text] = step.dead if known.get(text, step.dead) == step.dead else None
    return [known.get(_plain(text)) for text in texts]


def _plain(text: str) -> str:
    return " ".join(text.split())


class StateFunction:
    """A user's `(steps, problem) -> a list of true, false or None, one a step`, bounded in time."""

    def __init__(self, function: Callable[..., Any], name: str, seconds: float) -> None:
        self.name, self._seconds, self._function = name, seconds, function
        self._worker = Worker(lambda: lambda asked: _sendable(function(*asked)))

    @property
    def source(self) -> str:
        """A digest of the function's file: results of another version are told apart."""
        return source_of(self._function)

    def __call__(self, texts: Sequence[str], problem: Problem) -> States:
        """The states of these steps; the function is not asked of no steps.

        Raises UserError, naming function and problem, where it raises, takes too long or returns something
        else.
        """
        if not texts:
            return []
        of = f"the function {shown(self.name, 100)} on the steps of problem {shown(problem.id, 60)}"
        try:
            said = self._worker.ask((list(texts), problem), self._seconds)
        except TooLong:
            raise UserError(
                f"{of}: expected states within {self._seconds:g} seconds, got none (--grader-seconds)"
            ) from None
        except UserError as error:
            raise UserError(f"{of}: {shown(error, 200)}") from None
        if not isinstance(said, list) or any(not isinstance(each, bool | None) for each in said):
            raise UserError(f"{of}: expected a list of true, false and None, got {shown(said, 100)}")
        if len(said) != len(texts):
            raise UserError(f"{of}: expected {len(texts)} states, one a step, got {len(said)}")
        return said


def state_function(name: str, folder: Path | None, seconds: float) -> StateFunction:
    """The function `module:function`. UserError as `imported`."""
    return StateFunction(imported(name, "a function that says which steps are dead", folder), name, seconds)


def _sendable(value: Any) -> Any:
    """What the function returned as plain values: numpy's booleans among them."""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return f"a {type(value).__name__}"
    return [bool(each) if type(each).__name__ in ("bool", "bool_") else _named(each) for each in value]


def _named(value: Any) -> Any:
    return None if value is None else f"a {type(value).__name__}"
