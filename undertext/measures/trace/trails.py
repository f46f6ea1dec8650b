"""Trails: a problem with the text of a trace, its steps, and the answer that it comes to.

What is scored after each step is a `lead` (the words before the answer, read and not scored) and the answer.
An ending that holds the answer is no step: whatever came after it would only be copied.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from undertext.tasks.numbers import numbers_in, parse_number
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.spans import join, whole_words
from undertext.tasks.steps import AUTO, Span, rule_like, split_steps, task_steps
from undertext.tasks.task import Problem, Task

Whose = Literal["own", "gold", "other"]
"""Who wrote a trace: the checkpoint that reads it, the task, the other checkpoint."""
WHOSE: tuple[Whose, ...] = get_args(Whose)
LEAD = "\nAnswer: "
"""The lead where the task's own traces show none."""
ALIKE = 0.5
"""Least share of the task's traces that must put the same text before the answer, for it to be the lead."""


@dataclass(frozen=True)
class Trail:
    """A trace of one problem, as far as its answer."""

    problem: Problem
    text: str
    """The whole trace: its steps, and the ending that gives the answer."""
    steps: tuple[Span, ...]
    """The steps before the ending, as characters of `text`."""
    whose: Whose
    answer: str | None
    """The answer finally given, as it stands there; None where none is."""
    answer_at: Span | None
    """Where the answer stands in `text`."""
    unfinished: bool = False
    """Whether the text was cut before it gave an answer."""

    @property
    def reading(self) -> str:
        """The prompt and the steps after it."""
        return (
            join(self.problem.prompt, self.text[: self.steps[-1].end]) if self.steps else self.problem.prompt
        )

    def first_says(self, answer: str) -> int | None:
        """The first step (from 0) that says an answer inside the trace; None where none does."""
        texts = (self.text[slice(*span)] for span in self.steps)
        return next((i for i, text in enumerate(texts) if says(text, answer)), None)

    @property
    def points(self) -> list[int]:
        """Characters of `reading` after 0, 1, ... T steps."""
        before = len(join(self.problem.prompt, self.text)) - len(self.text)
        return [len(self.problem.prompt), *(before + span.end for span in self.steps)]


def gold_trails(task: Task, problems: Sequence[Problem], rule: str) -> dict[int, Trail]:
    """The task's own traces, by the problem's index; problems without a trace are left out.

    Split by the task's own steps, and by `rule` where a problem has none.
    """
    grader = OutputGrader(task)
    made = {}
    for i, problem in enumerate(problems):
        text = problem.reasoning.strip()
        if text:
            own = problem.model_copy(update={"trace": text}) if problem.trace else problem
            spans = task_steps(own) or split_steps(text, rule, task.reasoning)
            made[i] = _trail(problem, text, spans, grader.find(text, False), "gold")
    return made


def output_trails(
    task: Task,
    problems: Sequence[Problem],
    texts: Sequence[str],
    cut: Sequence[bool],
    rule: str,
    whose: Whose = "own",
) -> list[Trail]:
    """What a checkpoint wrote, a trail a problem; `cut` says which texts are unfinished (`Answers`)."""
    grader = OutputGrader(task)
    made = []
    for problem, output, unfinished in zip(problems, texts, cut, strict=True):
        text = output.strip()
        found = None if unfinished else grader.find(text, False)
        spans = split_steps(text, rule, task.reasoning)
        made.append(_trail(problem, text, spans, found, whose, unfinished))
    return made


def lead_of(task: Task, split: str, rule: str) -> str:
    """The text that the task's traces of a split put between the last step and the answer.

    `LEAD` where fewer than half of the traces put the same text there.
    """
    trails = gold_trails(task, task.split(split), rule).values()
    found = Counter(
        each.text[each.steps[-1].end : each.answer_at.start]
        for each in trails
        if each.steps and each.answer_at is not None
    )
    text, count = next(iter(found.most_common(1)), (LEAD, 0))
    return text if text.strip() and count >= ALIKE * len(trails) else LEAD


def split_by(task: Task, split: str, steps: str, lead: str | None) -> tuple[str, str]:
    """The rule by which outputs are split, and the lead, where a user named `steps` and perhaps a `lead`:
    `auto` and None take what the task's own traces show, the lead that of a split."""
    rule = rule_like(task) if steps == AUTO else steps
    return rule, lead or lead_of(task, split, rule)


def says(text: str, value: str) -> bool:
    """Whether a text says a value: a number as a number, all else as whole words in any case."""
    wanted = parse_number(value)
    if wanted is None:
        return bool(value.strip()) and bool(whole_words(text, value.strip(), any_case=True))
    return any(number.value == wanted and number.stated and not number.named for number in numbers_in(text))


def _trail(
    problem: Problem,
    text: str,
    spans: Sequence[Span],
    found: tuple[int, int] | None,
    whose: Whose,
    unfinished: bool = False,
) -> Trail:
    at = None if found is None or not text[slice(*found)].strip() else Span(*found)
    answer = None if at is None else text[slice(*at)].strip()
    steps = tuple(span for span in spans if at is None or span.end <= at.start)
    return Trail(problem, text, steps, whose, answer, at, unfinished)
