"""The reading text of a problem, and where in it each value can be read before it is said."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from undertext.tasks.numbers import Number, numbers_in, parse_number
from undertext.tasks.spans import join, starts_in_order, whole_words
from undertext.tasks.task import Problem

_CALCULATOR = ">>"
"""What stands between a result and its copy in `<<48/2=24>>24`, as the traces of GSM8K have it."""


class Saying(NamedTuple):
    """Where a text says a value, `text[start:end]`, and whether it may have said it earlier as well."""

    start: int
    end: int
    again: bool


@lru_cache(maxsize=1 << 13, typed=True)  # typed, since 1 and 1.0 are equal and spelt differently
def saying(text: str, value: str | int | float) -> Saying | None:
    """The last place where `text` says `value`, or None where it says it nowhere.

    A number that a letter touches (`12cm`, `3x`) counts where it stands free nowhere. What copies the result
    of a calculator (`<<48/2=24>>24`) is passed over: the calculator has said it.
    """
    wanted = parse_number(str(value))
    if wanted is None:
        places = whole_words(text, str(value))
        said = whole_words(text, str(value), any_case=True)
    else:
        numbers = [n for n in numbers_in(text) if n.value == wanted and n.stated and not n.named]
        free = [number for number in numbers if not number.glued]
        places, said = _spans(free or numbers), _spans(numbers)
    if not places:
        return None
    start, end = places[-1]
    for earlier, over in reversed(places[:-1]):
        if text[over:start] != _CALCULATOR:
            break
        start, end = earlier, over
    return Saying(start, end, any(place[0] < start for place in said))


def _spans(numbers: list[Number]) -> list[tuple[int, int]]:
    return sorted({(number.start, number.end) for number in numbers})


VALID = "valid"
VALIDITY = ("invalid", "valid")
"""What a step is by its own `valid`, as a value to be read."""


class ValuePosition(NamedTuple):
    """Where a value is to be read: from the last token that ends at or before `char_offset`.

    `char_offset` counts characters of the problem's reading text; whitespace that a token takes up
    before or after the offset does not count. Whoever holds the tokenizer finds the token.
    """

    name: str
    value: str | int | float
    char_offset: int
    counterfactuals: Mapping[str, str] = {}
    """Answer of the problem by what the value might have been instead."""
    said_after: str | None = None
    """What the step writes before it says the value; None where no step says it."""
    said_end: int | None = None
    """Where the value has been said, counted as `char_offset` is; None where no step says it."""
    maybe_said: bool = False
    """Whether the step may have said the value before this place: it is not found in the step, and read at
    its end, or it is found earlier in the step as well. What is read here shows nothing for `decodable`."""
    step: int = 0
    """Number of the step that the value is of, from 1; 0 where it is read at the end of the prompt."""


def reading_text(problem: Problem) -> str:
    """The prompt and the trace after it; without a trace, the steps in its place, then the prompt alone."""
    trace = problem.reasoning
    return join(problem.prompt, trace) if trace else problem.prompt


def value_positions(problem: Problem) -> list[ValuePosition]:
    """Where each value of `problem` can be read, in order of the steps and of each step's values.

    A step's value is read just before the last place where the step says it (a number as a number, `1,234`
    for 1234; all else as whole words), or at the end of a step that does not say it: `maybe_said` tells. A
    problem whose steps name no values has its own `values` read at the end of the prompt, and failing those
    its answer.
    """
    trace = problem.reasoning
    before_trace = len(join(problem.prompt, trace)) - len(trace)
    starts = starts_in_order(trace, [step.text for step in problem.steps])
    found = []
    for number, (start, step) in enumerate(zip(starts, problem.steps, strict=True), 1):
        offset = before_trace + start
        for name, value in step.values.items():
            answers = step.counterfactuals.get(name, {})
            said = saying(step.text, value)
            if said is None:
                end = offset + len(step.text)
                found.append(ValuePosition(name, value, end, answers, maybe_said=True, step=number))
            else:
                lead, end = step.text[: said.start], offset + said.end
                place = offset + said.start
                found.append(
                    ValuePosition(name, value, place, answers, lead, end, maybe_said=said.again, step=number)
                )
    if found:
        return found
    values = problem.values or {"answer": problem.answer}
    return [
        ValuePosition(name, value, len(problem.prompt), problem.counterfactuals.get(name, {}))
        for name, value in values.items()
    ]


def unsaid_positions(problem: Problem) -> list[ValuePosition]:
    """Those of `value_positions` where the value is still to be said: what `decodable` may rest on."""
    return [position for position in value_positions(problem) if not position.maybe_said]


def steps_read(problems: Iterable[Problem]) -> list[int]:
    """The step of each of these problems' `unsaid_positions`, in order: one number a row of
    `value_tokens.locate_values`."""
    return [position.step for problem in problems for position in unsaid_positions(problem)]


def values_not_said(problems: Iterable[Problem]) -> dict[str, int]:
    """By name of a value: in how many places no step says it, and it is read at the step's end."""
    return _counted(problems, lambda position: position.maybe_said and position.said_end is None)


def values_said_twice(problems: Iterable[Problem]) -> dict[str, int]:
    """By name of a value: in how many places its step says it earlier as well, so that it may be copied."""
    return _counted(problems, lambda position: position.maybe_said and position.said_end is not None)


def _counted(problems: Iterable[Problem], counts: Callable[[ValuePosition], bool]) -> dict[str, int]:
    return dict(Counter(p.name for problem in problems for p in value_positions(problem) if counts(p)))


def step_positions(problem: Problem) -> list[ValuePosition]:
    """At the end of each step, whether it is a valid one, under the name `VALID`: one of `VALIDITY`."""
    trace = problem.reasoning
    before_trace = len(join(problem.prompt, trace)) - len(trace)
    starts = starts_in_order(trace, [step.text for step in problem.steps])
    return [
        ValuePosition(VALID, VALIDITY[step.valid], before_trace + start + len(step.text), step=number)
        for number, (start, step) in enumerate(zip(starts, problem.steps, strict=True), 1)
    ]


def answer_said(problem: Problem) -> int | None:
    """Character of the trace (with the space before it) where it says the answer; None where it never does.

    The value that the last step says, where that is the answer; else the last place that says the answer.
    """
    trace = reading_text(problem)[len(problem.prompt) :]
    last = [position for position in value_positions(problem) if position.said_after is not None][-1:]
    if last and str(last[0].value) == problem.answer:
        return last[0].char_offset - len(problem.prompt)
    said = saying(trace, problem.answer)
    return None if said is None else said.start


def said_positions(problem: Problem) -> list[ValuePosition]:
    """Where each value stands once its step has said it, for those that are said: the place is at its end."""
    return [
        position._replace(char_offset=position.said_end)
        for position in value_positions(problem)
        if position.said_end is not None
    ]
