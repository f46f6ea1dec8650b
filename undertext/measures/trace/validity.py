"""Whether what a checkpoint writes is a valid trace: the values of the problem's steps, each said right.

A value is said *by the words of its step* where it follows the words that stand right before it in the task's
steps (`b =`). Where a checkpoint writes in these words, each step that it writes can be judged, right or
wrong, and a wrong one is not made up for by the right number somewhere else. Where none does, all that can be
asked is whether the problem's values are among what is said, in their order (`stated`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from undertext.core.terms import Role
from undertext.measures.trace.stated import NAMED, Stated, Value, Words, others_of, pieces_of, step_values
from undertext.tasks.numbers import Number, numbers_in
from undertext.tasks.steps import Span
from undertext.tasks.task import Problem

Places = list[tuple[int, Value]]
"""Values that are said, each with the character at which it stands."""


class SaidStep(NamedTuple):
    """A value that an output says by the words of a step."""

    start: int
    """Where the value stands, as a character of the output."""
    right: bool


@dataclass(frozen=True)
class Validity:
    """Which outputs are valid traces; by the problem's index, of problems with values to be said."""

    valid: dict[int, bool]
    """Whether each of the problem's values is said by its words, and right where it is said last. A step may
    be taken back, and said anew."""
    by_chance: dict[int, float]
    """Share of other problems, as many as `stated` takes, of whose values the same output would be a valid
    trace."""
    steps: dict[int, list[SaidStep]]
    """Every value that is said by the words of a step, in the order of the output."""
    said: dict[int, float]
    """Share of the problem's values for which something is said by the words of their steps, right or
    wrong."""


def by_words(
    problems: Sequence[Problem], outputs: Sequence[str], answers: Sequence[tuple[int, int] | None]
) -> Validity:
    """Judge each output by the words of its problem's steps. `answers` are the characters at which each gives
    its answer, which is no step.

    Where the same words stand before several of a problem's values, what is said after them last counts, as
    many times, in order. A problem is left out of which a value stands at the beginning of its step.
    """
    values = [step_values(problem) for problem in problems]
    others = others_of(problems, values)
    found = Validity({}, {}, {}, {})
    for i, (output, answer) in enumerate(zip(outputs, answers, strict=True)):
        places: dict[Words, list[int]] = {}
        for k, (words, _) in enumerate(values[i]):
            places.setdefault(words, []).append(k)
        if not places or () in places:
            continue
        known = {value for j in (i, *others.get(i, ())) for _, value in values[j]}
        said = {words: _said(output, answer, words, known) for words in places}

        def holds(of: int, places: dict[Words, list[int]] = places, said: dict[Words, Places] = said) -> bool:
            return all(
                [value for _, value in said[words][-len(at) :]] == [values[of][k][1] for k in at]
                for words, at in places.items()
            )

        found.valid[i] = holds(i)
        if elsewhere := [j for j in others.get(i, ()) if len(values[j]) == len(values[i])]:
            found.by_chance[i] = fmean(holds(j) for j in elsewhere)
        counts = [min(len(said[words]), len(at)) for words, at in places.items()]
        found.said[i] = sum(counts) / len(values[i])
        found.steps[i] = sorted(
            SaidStep(start, value in [values[i][k][1] for k in at])
            for words, at in places.items()
            for start, value in said[words]
        )
    return found


def by_values(stated: Stated) -> Validity:
    """Judge outputs by what they state alone, in whatever words: valid are those that state every value of
    their problem in order. What else they say is not looked at."""
    valid = {i: share == 1.0 for i, share in stated.share.items()}
    return Validity(valid, dict(stated.whole_by_chance), {}, {})


def written_in_words(of_roles: Mapping[Role, Validity], writers: Mapping[Role, Sequence[int]]) -> bool:
    """Whether outputs are to be judged by the words of the steps: some checkpoint says something by these
    words for nearly all the values. `writers` are the problems whose output holds a trace."""
    shares = [
        fmean(own.said[i] for i in writers[role] if i in own.said)
        for role, own in of_roles.items()
        if any(i in own.said for i in writers[role])
    ]
    return max(shares, default=0.0) >= NAMED


def _said(text: str, answer: tuple[int, int] | None, words: Words, known: set[Value]) -> Places:
    """Every place in a text at which a value follows these words."""
    text = text.lower()
    numbers = {number.start: number for number in numbers_in(text)}
    texts = sorted((value for value in known if isinstance(value, str)), key=lambda value: -len(value))
    places = (_value_at(text, end, numbers, texts) for end in _ends(list(pieces_of(text)), words))
    return [
        (span.start, value)
        for span, value in filter(None, places)
        if answer is None or not (span.start < answer[1] and answer[0] < span.end)
    ]


def _ends(pieces: Sequence[tuple[str, int]], words: Words) -> Iterator[int]:
    """Where each place at which these words stand one after another ends."""
    for k in range(len(pieces) - len(words) + 1):
        if all(piece == word for (piece, _), word in zip(pieces[k:], words, strict=False)):
            yield pieces[k + len(words) - 1][1]


def _value_at(
    text: str, end: int, numbers: Mapping[int, Number], texts: Sequence[str]
) -> tuple[Span, Value] | None:
    """The value that stands right after a place, and where; None where none does."""
    start = end + len(text[end:]) - len(text[end:].lstrip())
    number = numbers.get(start)
    if number is not None and number.value is not None:
        return Span(number.start, number.end), number.value
    for value in texts:
        if text.startswith(value, start) and not text[start + len(value) : start + len(value) + 1].isalnum():
            return Span(start, start + len(value)), value
    return None
