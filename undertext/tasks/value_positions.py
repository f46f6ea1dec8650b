"""The reading text of a problem, and where in it each value can be read before it is said."""

from collections.abc import Mapping
from typing import NamedTuple

from undertext.tasks.spans import join, last_whole_word, starts_in_order
from undertext.tasks.task import Problem

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


def reading_text(problem: Problem) -> str:
    """The prompt and the trace after it; without a trace, the steps in its place, then the prompt alone."""
    trace = _trace(problem)
    return join(problem.prompt, trace) if trace else problem.prompt


def value_positions(problem: Problem) -> list[ValuePosition]:
    """Where each value of `problem` can be read, in order of the steps and of each step's values.

    A step's value is read just before the last place where the step says it as a whole word (as
    `str` writes it), or at the end of a step that does not say it. A problem whose steps name no
    values has its own `values` read at the end of the prompt, and failing those its answer.
    """
    trace = _trace(problem)
    before_trace = len(join(problem.prompt, trace)) - len(trace)
    starts = starts_in_order(trace, [step.text for step in problem.steps])
    sites = []
    for start, step in zip(starts, problem.steps, strict=True):
        for name, value in step.values.items():
            said = last_whole_word(step.text, str(value))
            within = len(step.text) if said is None else said
            lead = None if said is None else step.text[:said]
            answers = step.counterfactuals.get(name, {})
            sites.append(ValuePosition(name, value, before_trace + start + within, answers, lead))
    if sites:
        return sites
    values = problem.values or {"answer": problem.answer}
    return [
        ValuePosition(name, value, len(problem.prompt), problem.counterfactuals.get(name, {}))
        for name, value in values.items()
    ]


def step_positions(problem: Problem) -> list[ValuePosition]:
    """At the end of each step, whether it is a valid one, under the name `VALID`: one of `VALIDITY`."""
    trace = _trace(problem)
    before_trace = len(join(problem.prompt, trace)) - len(trace)
    starts = starts_in_order(trace, [step.text for step in problem.steps])
    return [
        ValuePosition(VALID, VALIDITY[step.valid], before_trace + start + len(step.text))
        for start, step in zip(starts, problem.steps, strict=True)
    ]


def answer_said(problem: Problem) -> int | None:
    """Character of the trace (with the space before it) where it says the answer; None where it never does.

    The value that the last step says, where that is the answer; else the answer's last place as a whole word.
    """
    trace = reading_text(problem)[len(problem.prompt) :]
    last = [site for site in value_positions(problem) if site.said_after is not None][-1:]
    if last and str(last[0].value) == problem.answer:
        return last[0].char_offset - len(problem.prompt)
    return last_whole_word(trace, problem.answer)


def said_positions(problem: Problem) -> list[ValuePosition]:
    """Where each value stands once its step has said it, for those that are said: the site is at its end."""
    return [
        site._replace(char_offset=site.char_offset + len(str(site.value)))
        for site in value_positions(problem)
        if site.said_after is not None
    ]


def _trace(problem: Problem) -> str:
    return problem.trace or " ".join(step.text for step in problem.steps)
