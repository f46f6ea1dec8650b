"""Valid traces by judges that read no values: a user's function, and the labels of the task's own steps."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from undertext.measures.trace.trails import Trail
from undertext.measures.trace.validity import SaidStep, Validity
from undertext.tasks.draws import drawn
from undertext.tasks.same_steps import as_own
from undertext.tasks.steps import texts_of
from undertext.tasks.task import Problem

OTHERS = 4
"""Other problems as whose steps a trace is judged to see what is valid by chance: a function may be slow."""
Judge = Callable[[Sequence[str], Problem], Sequence[bool | None]]
"""Of the steps of a trace and its problem: whether each is valid, None where that cannot be told."""


def by_steps(judge: Judge, trails: Mapping[int, Trail], texts: Mapping[int, str]) -> Validity:
    """Judge the steps of these traces, by the problem's index; `texts` are the outputs that they stand in.

    A trace is valid where one of its steps or more is judged, and none of them is wrong. Traces none of whose
    steps can be judged are left out. `by_chance` and `said` of what is returned are empty.

    Raises UserError as the judge does.
    """
    found = Validity({}, {}, {}, {})
    for i, trail in trails.items():
        before = len(texts[i]) - len(texts[i].lstrip())
        judged = judge(texts_of(trail.text, trail.steps), trail.problem)
        steps = [
            SaidStep(before + span.start, right)
            for span, right in zip(trail.steps, judged, strict=True)
            if right is not None
        ]
        if steps:
            found.steps[i] = steps
            found.valid[i] = all(step.right for step in steps)
    return found


def by_chance(judge: Judge, trails: Mapping[int, Trail]) -> dict[int, float]:
    """Share of other problems, `OTHERS` at most, of which the same trace would be valid; by the problem's
    index.

    Left out are traces that cannot be judged of any of them. Raises UserError as the judge does.
    """
    order = drawn((trail.problem for trail in trails.values()), 0)
    place = {problem.id: k for k, problem in enumerate(order)}
    found = {}
    for i, trail in trails.items():
        at = place[trail.problem.id]
        others = [order[(at + k) % len(order)] for k in range(1, min(OTHERS, len(order) - 1) + 1)]
        texts = texts_of(trail.text, trail.steps)
        judged = [[each for each in judge(texts, other) if each is not None] for other in others]
        if some := [all(each) for each in judged if each]:
            found[i] = fmean(some)
    return found


def labelled(texts: Sequence[str], problem: Problem) -> list[bool | None]:
    """Steps that say the same as one of the problem's own, white space aside: whether the task calls that one
    valid. None of other steps, and of those that the task has both valid and not."""
    return as_own(problem, texts, lambda step: step.valid)
