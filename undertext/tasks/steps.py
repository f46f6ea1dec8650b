"""The steps of a text: by the task's own steps where the text is its trace, otherwise by a named rule.

A step is a span of characters. Steps come in order, do not overlap, and hold every character of the text but
white space. Rules: `newline` (a line is a step), `sentence`, `think` (a paragraph between the marks of the
reasoning is a step, and what stands after them is one), and `regex:PATTERN` (a step ends where a match ends).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from undertext.activations.errors import UserError
from undertext.activations.patterns import find_all, pattern_groups
from undertext.core.printable import shown
from undertext.tasks.prompt_form import Reasoning
from undertext.tasks.spans import starts_in_order
from undertext.tasks.task import Problem, Task

AUTO, NEWLINE, SENTENCE, THINK, REGEX = "auto", "newline", "sentence", "think", "regex:"
THINK_MARKS = ("<think>", "</think>")
"""Marks of the reasoning where a task names none."""
ALIKE = 0.9
"""Least share of the task's own steps that must end alike for outputs to be split there."""

_LINE = re.compile(r"[^\r\n]+")
_SENTENCE_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"')\]\u201d\u2019]{0,3}+(?=\s)|[\u3002\uff01\uff1f]|\n"
)
"""Signs are taken all together from the first on: a run of them is looked at once."""
_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n")


class Span(NamedTuple):
    """The characters of a text from `start` up to, not with, `end`."""

    start: int
    end: int


def checked_rule(rule: str) -> str:
    """The rule itself; ValueError ("expected ...") for one that there is not: the config says what it got."""
    if rule.startswith(REGEX) and len(rule) > len(REGEX):
        pattern_groups(rule.removeprefix(REGEX))
        return rule
    if rule in (AUTO, NEWLINE, SENTENCE, THINK):
        return rule
    raise ValueError(f"expected {AUTO}, {NEWLINE}, {SENTENCE}, {THINK} or {REGEX}PATTERN")


def split_steps(text: str, rule: str, marks: Reasoning | None = None) -> list[Span]:
    """The steps of a text by a rule other than `auto`; none of a blank text.

    `marks` are those around the reasoning (rule `think`; None: `<think>` and `</think>`). Raises UserError
    where a pattern is not done with the text in time (`activations.patterns.SECONDS`).
    """
    if rule == NEWLINE:
        ends = [match.end() for match in _LINE.finditer(text)]
    elif rule == SENTENCE:
        ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    elif rule == THINK:
        ends = _of_paragraphs(text, marks)
    elif rule.startswith(REGEX):
        ends = [match.end for match in find_all(rule.removeprefix(REGEX), text)]
    else:
        raise UserError(f"expected a rule that splits a text into steps, got {shown(rule)}")
    return _between(text, ends)


def task_steps(problem: Problem) -> list[Span]:
    """The task's own steps in the problem's reasoning; none where the task names none.

    Raises UserError for steps that do not follow one another there, as overlapping ones do not.
    """
    texts = [step.text for step in problem.steps]
    starts = starts_in_order(problem.reasoning, texts)
    if len(starts) < len(texts):
        raise UserError(
            f"problem {shown(problem.id)}: expected steps that follow one another in its trace, got "
            f"{shown(texts[len(starts)])} (step {len(starts) + 1}), which does not stand after the one before"
        )
    return [_stripped(problem.reasoning, at, at + len(t)) for at, t in zip(starts, texts, strict=True)]


def rule_like(task: Task) -> str:
    """A rule that splits outputs as the task's own traces are split.

    `think` where the task names marks of its reasoning. `newline` where its steps stand on lines of their
    own; else the sign that its steps end in, where nearly all end in one; else `sentence`.
    """
    if task.reasoning is not None:
        return THINK
    between: Counter[str] = Counter()
    last: Counter[str] = Counter()
    for problem in task.problems:
        spans = task_steps(problem)
        for one, other in pairwise(spans):
            between["\n" if "\n" in problem.reasoning[one.end : other.start] else " "] += 1
        last.update(problem.reasoning[span.end - 1] for span in spans)
    if between["\n"] > ALIKE * between.total() > 0:
        return NEWLINE
    sign, count = next(iter(last.most_common(1)), ("", 0))
    if count >= ALIKE * last.total() > 0 and not sign.isalnum() and sign not in ".!?":
        return rf"{REGEX}{re.escape(sign)}(?=\s|$)"
    return SENTENCE


def _of_paragraphs(text: str, marks: Reasoning | None) -> list[int]:
    opening, closing = THINK_MARKS if marks is None else (marks.open, marks.close)
    start = text.find(opening)
    start = 0 if start < 0 else start + len(opening)
    close = text.rfind(closing)
    end = len(text) if close < start else close + len(closing)
    within = [match.start() for match in _PARAGRAPH_END.finditer(text, start, end)]
    if within and text[within[-1] : end].strip() == closing:
        within.pop()  # a closing mark by itself is no paragraph: it belongs to the one before
    return [*within, end]


def _between(text: str, ends: Iterable[int]) -> list[Span]:
    """The pieces of the text between these ends, without the white space around them; no blank ones."""
    pieces, start = [], 0
    for end in (*ends, len(text)):
        if end > start and text[start:end].strip():
            pieces.append(_stripped(text, start, end))
            start = end
    return pieces


def _stripped(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return Span(start, start + len(piece.strip()))


def texts_of(text: str, spans: Sequence[Span]) -> list[str]:
    """What stands in these spans."""
    return [text[span.start : span.end] for span in spans]
