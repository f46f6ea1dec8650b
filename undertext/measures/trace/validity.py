"""Whether what a checkpoint writes is a valid trace: the values of the problem's steps, each said right.

A value is said *by the words of its step* where it follows the words that stand right before it in the task's
steps (`b =`). Where a checkpoint writes in these words, each step that it writes can be judged, right or
wrong, and a wrong one is not made up for by the right number somewhere else. Where none does, all that can be
asked is whether the problem's values are among what is said, in their order (`stated`). `judging` holds the
judges that read no values: a user's function, and the task's own labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from undertext.core.terms import Role
from undertext.measures.trace.said_values import Places, values_after
from undertext.measures.trace.stated import (
    NAMED,
    Stated,
    Value,
    Words,
    others_of,
    step_values,
    words_before,
)
from undertext.tasks.numbers import numbers_in
from undertext.tasks.task import Problem


class SaidStep(NamedTuple):
    """A step that an output says and that is judged: a value by the words of a step, or a step as a whole."""

    start: int
    """Where it stands, as a character of the output."""
    right: bool


@dataclass(frozen=True)
class Validity:
    """Which outputs are valid traces; by the problem's index, of problems with values to be said."""

    valid: dict[int, bool]
    """Whether each of the problem's values is said by its words, and right where it is said last. A step may
    be taken back, and said anew."""
    by_chance: dict[int, float]
    """Share of other problems, as many as `stated` takes, all of whose values the same output would say right
    by its words. What these problems give is left aside."""
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
    many times, in order. What the problem gives (`givens`) need not be said; where it is, it must be right. A
    problem is left out of which a value stands at the beginning of its step.
    """
    # With those that a step has said before: `2 + 5 = 5` says 5 by the words of its step as well.
    values = [step_values(problem, again=True) for problem in problems]
    given = [givens(problem, own) for problem, own in zip(problems, values, strict=True)]
    others = others_of(problems, values)
    found = Validity({}, {}, {}, {})
    for i, (problem, output, answer) in enumerate(zip(problems, outputs, answers, strict=True)):
        places: dict[Words, list[int]] = {}
        for k, (words, _) in enumerate(values[i]):
            places.setdefault(words, []).append(k)
        if not places or () in places:
            continue
        known = {value for j in (i, *others.get(i, ())) for _, value in values[j]}
        said: dict[Words, Places] = {}
        for words, at in places.items():
            own = [values[i][k][1] for k in at]
            worked_out = _last_values(values_after(problem.reasoning, words, among=own), len(at)) == own
            said[words] = values_after(output, words, among=known, without=answer, worked_out=worked_out)
        restated = [values_after(output, words, without=answer) for words, _ in given[i]]

        def holds(of: int, places: dict[Words, list[int]] = places, said: dict[Words, Places] = said) -> bool:
            return all(
                _last_values(said[words], len(at)) == [values[of][k][1] for k in at]
                for words, at in places.items()
            )

        kept = all(not own or own[-1][1] == value for own, (_, value) in zip(restated, given[i], strict=True))
        found.valid[i] = kept and holds(i)
        if elsewhere := [j for j in others.get(i, ()) if len(values[j]) == len(values[i])]:
            found.by_chance[i] = fmean(holds(j) for j in elsewhere)
        counts = [min(len(said[words]), len(at)) for words, at in places.items()]
        found.said[i] = sum(counts) / len(values[i])
        of_values = [(said[words], [values[i][k][1] for k in at]) for words, at in places.items()]
        of_givens = [(own, [value]) for own, (_, value) in zip(restated, given[i], strict=True)]
        found.steps[i] = sorted(
            SaidStep(start, value in wanted)
            for own, wanted in (*of_values, *of_givens)
            for start, value in own
        )
    return found


def givens(problem: Problem, values: Sequence[tuple[Words, Value]]) -> list[tuple[Words, Value]]:
    """What the question gives by a name and `=` (`d = 9`) and the steps say again: numbers, each with
    the words right before it.

    These are steps that name no value. Left out are words that stand before one of the steps' `values` too,
    and words after which question and steps say more than one number.
    """
    texts = [step.text for step in problem.steps if step.valid and not step.values]
    words = {
        words_before(text[: number.start]): None
        for text in texts
        for number in numbers_in(text)
        if number.value is not None
    }
    found = []
    for each in words:
        if len(each) < 2 or each[-1] != "=" or each in dict(values):
            continue
        asked, restated = (
            {value for text in some for _, value in values_after(text, each)}
            for some in ([problem.question], [problem.reasoning])
        )
        if asked == restated and len(asked) == 1:
            found.append((each, asked.pop()))
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


def in_own_words(worded: Validity, stated: Stated, writers: Sequence[int]) -> bool:
    """Whether a checkpoint's traces can be judged by the words of the steps: it says something by these words
    for nearly all the values, or for nearly as many as it states in whatever words. One that leaves values
    out can be judged, and one that says them in other words cannot."""
    said = [worded.said[i] for i in writers if i in worded.said]
    if not said:
        return True
    anyhow = [stated.share[i] for i in writers if i in stated.share]
    return not anyhow or fmean(said) >= NAMED * fmean(anyhow)


def _last_values(said: Places, count: int) -> list[Value]:
    return [value for _, value in said[-count:]]
