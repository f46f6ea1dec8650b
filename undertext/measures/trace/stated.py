"""Whether a checkpoint's own output states the right values of the steps, whatever it answers in the end.

A model can write every step right and then a wrong answer. What it writes is held against the values of the
problem's steps: the longest run of them that it says in their order, anything between them passed over. A
value that the problem states proves nothing, and neither does what the output gives as its answer.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from statistics import fmean

from undertext.tasks.draws import drawn
from undertext.tasks.numbers import numbers_in, parse_number
from undertext.tasks.spans import join, whole_words
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import saying, value_positions

OTHERS = 20
"""Other problems whose values an output is held against to see what it states by chance."""
NAMED = 0.8
"""Least share of what the stronger states that it states in the words of the task's steps, for these words to
be asked of both."""
_PIECE = re.compile(r"\w+|[^\w\s]")
_PIECES, _LOOK_BACK = 2, 80
"""How many words or signs right before a value say what it is the value of, and how far back they begin."""

Value = Decimal | Fraction | str
Words = tuple[str, ...]


@dataclass(frozen=True)
class Stated:
    """What outputs state of the values of their problems' steps; by the problem's index, of problems with a
    value to be stated."""

    share: dict[int, float]
    """Share of the problem's values that the output states, in their order."""
    by_chance: dict[int, float]
    """The same with the values of other problems: the mean over `OTHERS` of them, as many as there are."""
    counts: dict[int, int]
    """Number of the problem's values."""
    silent: frozenset[int]
    """Problems whose output says nothing anew before its answer."""
    whole_by_chance: dict[int, float] = field(default_factory=dict)
    """Share of the other problems all of whose values the output states, in their order."""


def stated(
    problems: Sequence[Problem],
    outputs: Sequence[str],
    answers: Sequence[tuple[int, int] | None],
    *,
    named: bool,
) -> Stated:
    """Hold each output against the values of its problem's steps, and of other problems'.

    `answers` are the characters at which each output gives its answer; where it gives none, its last number
    counts as one. With `named`, a value counts only after the words that stand right before it in its step
    (`b = 5`), and other problems' values after the same words.
    """
    values = [step_values(problem) for problem in problems]
    others = others_of(problems, values)
    share, by_chance, whole, counts, silent = {}, {}, {}, {}, set()
    for i, (problem, output, answer) in enumerate(zip(problems, outputs, answers, strict=True)):
        known = _Known(problem.question)
        labels = [words if named else () for words, _ in values[i]]

        def asked(of: int, labels: list[Words] = labels, known: _Known = known) -> list[tuple[Words, Value]]:
            pairs = zip(labels, (value for _, value in values[of]), strict=False)
            return [(words, value) for words, value in pairs if value not in known]

        own, elsewhere = asked(i), [pairs for j in others.get(i, ()) if (pairs := asked(j))]
        if not own or not elsewhere:
            continue
        wanted = {value for pairs in (own, *elsewhere) for _, value in pairs}
        said = _Said(output, answer, wanted, known)
        share[i], counts[i] = said.run(own), len(own)
        runs = [said.run(pairs) for pairs in elsewhere]
        by_chance[i], whole[i] = fmean(runs), fmean(run == 1.0 for run in runs)
        if said.nothing:
            silent.add(i)
    return Stated(share, by_chance, counts, frozenset(silent), whole)


def stated_alike(
    problems: Sequence[Problem],
    weaker: tuple[Sequence[str], Sequence[tuple[int, int] | None]],
    stronger: tuple[Sequence[str], Sequence[tuple[int, int] | None]],
    gap: Sequence[int],
    *,
    own_steps: bool,
) -> tuple[Stated, Stated, bool]:
    """What the weaker's and the stronger's outputs (texts, answers) state, and whether by the steps' words.

    The words are asked for where the steps are the task's own and the stronger says nearly all that it states
    in them, over the problems `gap`: then a number alone does not count. The weaker has no part in this.
    """
    bare = stated(problems, *stronger, named=False)
    if own_steps:
        worded = stated(problems, *stronger, named=True)
        all_said, in_words = (sum(each.share.get(i, 0.0) for i in gap) for each in (bare, worded))
        if in_words >= NAMED * all_said > 0:
            return stated(problems, *weaker, named=True), worded, True
    return stated(problems, *weaker, named=False), bare, False


def step_values(problem: Problem, *, again: bool = False) -> list[tuple[Words, Value]]:
    """The values that the problem's steps say, each with the words right before it, in order.

    Each counts that its step has not said before, and with `again` the others too. Left out are the place
    where the trace gives the answer, and the values of a step that the task calls invalid.
    """
    trace = problem.reasoning
    before = len(join(problem.prompt, trace)) - len(trace)
    ending = saying(trace, problem.answer)
    owners = [step for step in problem.steps for _ in step.values]
    return [
        (words_before(position.said_after or ""), value_of(str(position.value)))
        for position, step in zip(value_positions(problem) if owners else [], owners, strict=True)
        if step.valid
        and position.said_end is not None
        and (again or not position.maybe_said)
        and (ending is None or position.char_offset - before != ending.start)
    ]


def value_of(text: str) -> Value:
    """A value as it is held against others: a number as a number, all else in lower case."""
    number = parse_number(text)
    return text.lower() if number is None else number


def words_before(text: str) -> Words:
    """The last words and signs of a text, in lower case: those that say what a value after it is of."""
    return tuple(_PIECE.findall(text[-_LOOK_BACK:].lower())[-_PIECES:])


def pieces_of(text: str) -> Iterator[tuple[str, int]]:
    """The words and signs of a text in lower case, each with the character at which it ends."""
    return ((match.group(), match.end()) for match in _PIECE.finditer(text.lower()))


def others_of(problems: Sequence[Problem], values: Sequence[Sequence[object]]) -> dict[int, list[int]]:
    """For each problem, others that have values: those of as many values first, drawn by their ids."""
    index = {problem.id: i for i, problem in enumerate(problems)}
    some = drawn((problem for problem, own in zip(problems, values, strict=True) if own), 0)
    order = sorted((index[problem.id] for problem in some), key=lambda i: len(values[i]))
    last = max(0, len(order) - OTHERS - 1)
    found = {}
    for place, i in enumerate(order):
        start = min(max(0, place - OTHERS // 2), last)
        found[i] = [j for j in order[start : start + OTHERS + 1] if j != i]
    return found


class _Known:
    """What a problem states: the value `in` it proves nothing."""

    def __init__(self, question: str) -> None:
        self.question, self.numbers = question.lower(), {number.value for number in numbers_in(question)}

    def __contains__(self, value: Value) -> bool:
        if isinstance(value, str):
            return value in self.question and bool(whole_words(self.question, value))
        return value in self.numbers


class _Said:
    """Where an output says some values, its answer left out."""

    def __init__(self, text: str, answer: tuple[int, int] | None, wanted: set[Value], known: _Known) -> None:
        text = text.lower()
        spans: list[tuple[int, int, Value]] = [
            (number.start, number.end, number.value)
            for number in numbers_in(text)
            if number.value is not None and number.stated and not number.named
        ]
        if answer is None:
            answer = max((span[:2] for span in spans), key=lambda span: span[1], default=(0, 0))
        for word in wanted:
            if isinstance(word, str) and word in text:
                spans += [(*place, word) for place in whole_words(text, word)]
        counted = any(not isinstance(value, str) for value in wanted)
        self.nothing = True
        """Whether the output says no value that its problem does not state."""
        self.places: dict[Value, list[tuple[int, Words]]] = {}
        for start, end, value in sorted(spans, key=lambda span: span[:2]):
            if start < answer[1] and answer[0] < end:
                continue
            if value in wanted:
                place = (start, words_before(text[max(0, start - _LOOK_BACK) : start]))
                self.places.setdefault(value, []).append(place)
            if (counted or isinstance(value, str)) and value not in known:
                self.nothing = False

    def run(self, pairs: Sequence[tuple[Words, Value]]) -> float:
        """Of values and the words before each, the share in the longest run that is said in this order."""
        ends: list[int] = []  # where the earliest run of each length ends (Hunt and Szymanski, 1977)
        for words, value in pairs:
            for start, before in reversed(self.places.get(value, ())):
                if before[len(before) - len(words) :] == words:
                    ends[(at := bisect_left(ends, start)) : at + 1] = [start]
        return len(ends) / len(pairs)
