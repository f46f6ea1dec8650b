"""Why a change was made of no trace: what the task would have to say for it."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from undertext.measures.trace.changes import Change
from undertext.measures.trace.trails import Trail
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import unsaid_positions


def no_changes(trails: Collection[Trail]) -> str | None:
    """Why none of these traces can be changed; None where one can."""
    if not trails:
        return "there are no traces"
    if not any(trail.steps for trail in trails):
        return "no trace has a step before its answer"
    if all(trail.unfinished for trail in trails if trail.steps):
        return "every trace with a step was cut before an answer"
    return None


def lacking(change: Change, problems: Iterable[Problem], wordings: Mapping[int, Sequence[str]]) -> str:
    """What is missing, of the problems whose traces were to be changed; `wordings` are as for `changed`."""
    if change == "reworded":
        if not wordings:
            return "the task has no paraphrases of these questions, and no templates were given (--templates)"
        return "no question of a finished trace has paraphrases"
    if change == "corrupted":
        if not any(_moved(problem) for problem in problems):
            return "the task says no other answers for other values of its steps (counterfactuals)"
        return "no finished trace begins as the task's own up to a value that has counterfactuals"
    if change == "another":
        return "no other finished trace gives another answer"
    if change == "paraphrased":
        return "the function leaves every trace as it is"
    return "no trace allows this change"


def _moved(problem: Problem) -> bool:
    """Whether another value of a step, said there for the first time, has another answer."""
    return any(
        value != str(position.value) and answer != problem.answer
        for position in unsaid_positions(problem)
        for value, answer in position.counterfactuals.items()
    )
