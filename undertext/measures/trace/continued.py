"""Whether a checkpoint writes the next step right, given the right steps so far: one teacher-forced pass.

However well a capability is locked, its steps go on from right ones; where it is gone or never was, they do
not. What is shown is the steps, and not that the checkpoint would begin them or put them together by itself.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.forced import forced
from undertext.activations.spans import TextSpan, locate, tokens_holding
from undertext.tasks.numbers import numbers_in
from undertext.tasks.task import Problem, Step
from undertext.tasks.value_positions import reading_text, unsaid_positions

NUMBER = "number"
"""Name of the values of `of_outputs`."""


@dataclass(frozen=True)
class StepValue:
    """A value that a step of a problem's trace says, for the first time and by itself."""

    problem: int
    """Index of the problem."""
    name: str
    said: tuple[int, ...]
    """The tokens that hold it."""
    places: tuple[int, ...]
    """Where they stand in the tokens of the problem's reading text."""


@dataclass(frozen=True, eq=False)
class Continued:
    """What a checkpoint writes where each value is to be said, the text before it given."""

    values: list[StepValue]
    chosen: list[tuple[int, ...]]
    """Of each value, the likeliest token at each of its places."""
    right: Float[ndarray, " value"]
    """1 where they are the value's own, and 0 elsewhere; of a new word, the probability of its own token."""
    by_chance: Float[ndarray, " value"]
    """The share of other problems' values, of the same name and as many tokens, that they are; of a new word,
    the mean probability of theirs."""

    def per_problem(self, figure: ndarray) -> dict[int, float]:
        """The mean of a figure over each problem's values, by the problem's index."""
        total: dict[int, list[float]] = {}
        for value, each in zip(self.values, figure.tolist(), strict=True):
            total.setdefault(value.problem, []).append(float(each))
        return {problem: float(np.mean(each)) for problem, each in total.items()}


def step_values(
    checkpoint: Checkpoint, problems: Sequence[Problem]
) -> tuple[list[list[int]], list[StepValue]]:
    """The tokens of each problem's reading text, and the values that its steps say.

    A value counts that its step has not said before, and whose tokens hold nothing else of the text. Tokens
    beyond the context are left out: an output of another checkpoint may be longer in this one's tokens.
    """
    tokens: list[list[int]] = []
    values: list[StepValue] = []
    for index, problem in enumerate(problems):
        text = reading_text(problem)
        located = locate(checkpoint, text)
        tokens.append(located.ids[: checkpoint.n_ctx])
        for position in unsaid_positions(problem):
            if position.said_end is None:
                continue
            places = tokens_holding(located, TextSpan(position.char_offset, position.said_end))
            spans = [located.spans[place] for place in places]
            if (
                not spans
                or places[-1] >= checkpoint.n_ctx
                or spans[0][0] < position.char_offset
                or spans[-1][1] > position.said_end
            ):
                continue
            said = tuple(located.ids[place] for place in places)
            values.append(StepValue(index, position.name, said, tuple(places)))
    return tokens, values


def say_values(problems: Sequence[Problem]) -> bool:
    """Whether a step of these problems says a value that is still to be said."""
    return any(position.said_end is not None for each in problems for position in unsaid_positions(each))


def of_outputs(problems: Sequence[Problem], outputs: Sequence[str]) -> list[Problem]:
    """These problems with an output each for their trace, and a step for every number that is new in it.

    A number is new that neither the problem nor the output has said before: it had to be worked out. One that
    ends the output is its answer: where it is new there, it was given at once, and is no step.
    """
    made = []
    for problem, output in zip(problems, outputs, strict=True):
        text = output.strip()
        known = {number.value for number in numbers_in(problem.question)}
        found = [number for number in numbers_in(text) if number.value is not None]
        new = []
        for number in found:
            if number.value not in known:
                known.add(number.value)
                new.append(number)
        if new and new[-1] is found[-1]:
            new.pop()
        steps, start = [], 0
        for number in new:
            said = text[number.start : number.end]
            steps.append(Step(text=text[start : number.end].strip(), values={NUMBER: said}))
            start = number.end
        made.append(problem.model_copy(update={"trace": text, "steps": steps, "values": {}}))
    return made


def continued(checkpoint: Checkpoint, problems: Sequence[Problem]) -> Continued:
    """Read every problem's trace once, and see what the checkpoint would write at each value's tokens.

    Raises UserError as `forced` and `locate` do.
    """
    tokens, values = step_values(checkpoint, problems)
    places: list[list[int]] = [[] for _ in problems]
    for value in values:
        places[value.problem] += value.places
    found = forced(checkpoint, tokens, places)
    rows = [iter(row) for row in found.chosen]
    chosen = [tuple(next(rows[value.problem]) for _ in value.places) for value in values]
    right = np.array([own == value.said for own, value in zip(chosen, values, strict=True)], float)
    return Continued(values, chosen, right, _by_chance(values, chosen))


def _by_chance(values: Sequence[StepValue], chosen: Sequence[tuple[int, ...]]) -> Float[ndarray, " value"]:
    """What is written for each value, graded against the same value of the other problems."""
    said = Counter((value.name, value.said) for value in values)
    own = Counter((value.problem, value.name, value.said) for value in values)
    sizes = Counter((value.name, len(value.said)) for value in values)
    own_sizes = Counter((value.problem, value.name, len(value.said)) for value in values)
    out = np.zeros(len(values))
    for i, (value, each) in enumerate(zip(values, chosen, strict=True)):
        others = sizes[value.name, len(each)] - own_sizes[value.problem, value.name, len(each)]
        alike = said[value.name, each] - own[value.problem, value.name, each]
        out[i] = alike / others if others else 0.0
    return out
