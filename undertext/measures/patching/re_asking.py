"""Counterfactual answers by re-asking: what a checkpoint answers once its text says another value."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.measures.answers import gap_between
from undertext.tasks.draws import seeds
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import reading_text, unsaid_positions

OTHER_VALUES = 3
"""Other values that are put in the place of a problem's own."""


class _Place(NamedTuple):
    """A step's value in a problem's reading text."""

    problem: Problem
    step: int
    """Index of the step."""
    start: int
    """Where the value is about to be said."""


def re_asked(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    name: str,
    values: Sequence[str],
    *,
    seed: int,
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> list[Problem]:
    """These problems with counterfactual answers for one step's value `name` each, where that works out.

    The reading text is cut where the step is about to say the value, one of `values` is put there, and the
    checkpoint goes on to its answer. The step and `OTHER_VALUES` values are drawn by seed and problem id. A
    problem is as it was where its steps do not say the value, or no answer was given.
    """
    places = {i: place for i, each in enumerate(problems) if (place := _place(each, name, seed)) is not None}
    asked: list[tuple[int, str]] = []
    for i, place in places.items():
        own = str(place.problem.steps[place.step].values[name])
        others = _drawn_values([value for value in values if value != own], place.problem, seed)
        asked += [(i, value) for value in others]
    texts = [reading_text(problems[i])[: places[i].start] + value for i, value in asked]
    room = checkpoint.n_ctx - task.max_new_tokens
    fits = [k for k, text in enumerate(texts) if len(checkpoint.encode([text])[0]) <= room]
    asked, texts = [asked[k] for k in fits], [texts[k] for k in fits]
    found: dict[int, dict[str, str]] = {}
    if not texts:
        return list(problems)
    out = generate(
        checkpoint, texts, max_new_tokens=task.max_new_tokens, stop=task.stop, batch_size=batch_size,
        progress=progress,
    )  # fmt: skip
    grader = OutputGrader(task)
    rows = zip(asked, texts, out.tokens, out.texts, out.cut, strict=True)
    for (i, value), text, tokens, written, cut in rows:
        output = text[len(problems[i].prompt) :] + gap_between(checkpoint, text, tokens, written) + written
        answer = None if grader.unfinished(output, cut) else grader.taken(output, problems[i])
        if answer is not None:
            found.setdefault(i, {})[value] = answer.strip()
    return [
        _answered(problem, places[i].step, name, found[i]) if i in found else problem
        for i, problem in enumerate(problems)
    ]


def _place(problem: Problem, name: str, seed: int) -> _Place | None:
    """A step that says the value, drawn."""
    said = [each for each in unsaid_positions(problem) if each.name == name and each.said_end is not None]
    steps = [i for i, step in enumerate(problem.steps) if name in step.values]
    if len(said) != len(steps):  # a step that may have said it earlier: which is which is not known
        return None
    if not said:
        return None
    (draw,) = seeds([problem], seed)
    at = draw % len(said)
    return _Place(problem, steps[at], said[at].char_offset)


def _drawn_values(values: Sequence[str], problem: Problem, seed: int) -> list[str]:
    (draw,) = seeds([problem], seed + 1)
    order = sorted(values)
    start = draw % max(1, len(order))
    return [*order[start:], *order[:start]][:OTHER_VALUES]


def _answered(problem: Problem, step: int, name: str, answers: Mapping[str, str]) -> Problem:
    steps = list(problem.steps)
    before = steps[step].counterfactuals
    steps[step] = steps[step].model_copy(update={"counterfactuals": {**before, name: dict(answers)}})
    return problem.model_copy(update={"steps": steps})
