"""Which problem's value is put into which problem, and what became of the answer."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from undertext.tasks.draws import drawn, seeds
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import ValuePosition
from undertext.tasks.value_tokens import ValueTokens

Outcome = Literal["counterfactual", "stayed", "source", "other"]
"""The answer that follows from the value put in; the problem's own; the source's own; any other text.
Where two of the three answers are the same, the first named counts."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class CounterfactualPair(NamedTuple):
    """One problem's value, and another problem whose value takes its place."""

    problem: int
    """Index in the split."""
    row: int
    """Of the problem's value among the sites."""
    source: int
    """Row of the value put in."""
    counterfactual: str
    """The answer that follows from the value put in."""
    own: str
    """The problem's own answer."""
    sources: str
    """The source problem's own answer."""

    def grades(self, grader: OutputGrader, problem: Problem, text: str, cut: bool) -> tuple[bool, ...]:
        """Whether `text`, written for its `problem`, is right for each of the three answers, leniently."""
        answers = (self.counterfactual, self.own, self.sources)
        return tuple(grader(text, problem, cut, answer).lenient for answer in answers)


@dataclass(frozen=True)
class Outcomes:
    """What became of the answers to the problems, in order, under one setting."""

    kind: Int[ndarray, " n"]
    """Index into `OUTCOMES`."""
    texts: list[str]
    """What was written."""

    @classmethod
    def of(cls, texts: Sequence[str], grades: Tensor) -> "Outcomes":
        """From whether each text is right for each of its pair's three answers [n, 3]."""
        right = grades.numpy()
        kind = np.where(right.any(axis=1), right.argmax(axis=1), len(OUTCOMES) - 1)
        return cls(kind, list(texts))

    def share(self, outcome: Outcome) -> float:
        """Share of the problems with this outcome."""
        return float((self.kind == OUTCOMES.index(outcome)).mean())

    @property
    def shares(self) -> dict[Outcome, float]:
        """Share of the problems with each outcome; they sum to one."""
        return {outcome: self.share(outcome) for outcome in OUTCOMES}


def counterfactual_pairs(
    sites: ValueTokens,
    positions: Sequence[ValuePosition],
    problems: Sequence[Problem],
    name: str,
    values: Collection[str],
    *,
    seed: int,
    most: int | None = None,
    allowed: Callable[[ValuePosition], bool] = lambda position: True,
    among: Collection[int] | None = None,
) -> list[CounterfactualPair]:
    """A pair for each problem that has one, its row and its source drawn evenly; `most` of them, drawn too.

    What is drawn depends on the seed and on the problems' ids, wherever the problems stand.
    `among` are the indices of the problems that may have a pair; None: all.
    `positions` are those that the sites were made of, row by row. A source has another value of the same
    name, among `values`, and is of another problem. Its counterfactual answer is known and is not the
    problem's own, nor, where that is possible, the source's own.
    """
    of_problem: dict[int, list[int]] = {}
    by_value: dict[str, list[int]] = {}
    wanted = range(len(problems)) if among is None else frozenset(among)
    owners, ids = sites.problem.tolist(), [problem.id for problem in problems]
    for row in sites.rows(name).tolist():
        by_value.setdefault(sites.label[row], []).append(row)
        in_reach = owners[row] in wanted
        if in_reach and positions[row].counterfactuals and allowed(positions[row]):
            of_problem.setdefault(owners[row], []).append(row)
    pairs: list[CounterfactualPair] = []
    index = {each: i for i, each in enumerate(ids)}
    for each in drawn([problems[i] for i in of_problem], seed):
        if len(pairs) == most:
            break
        problem, own, rng = index[each.id], each.answer, random.Random(*seeds([each], seed))
        rows = of_problem[problem]
        for row in rng.sample(rows, len(rows)):
            answers = positions[row].counterfactuals
            other_values = [
                v for v in by_value if v in values and v != sites.label[row] and answers.get(v, own) != own
            ]
            others = [
                (source, answers[value], problems[owners[source]].answer)
                for value in other_values
                for source in by_value[value]
                if owners[source] != problem
            ]
            others.sort(key=lambda other: (ids[owners[other[0]]], other[1]))
            distinct = [each for each in others if each[1] != each[2]]
            if others:
                source, counterfactual, sources = rng.choice(distinct or others)
                pairs.append(CounterfactualPair(problem, row, source, counterfactual, own, sources))
                break
    return sorted(pairs, key=lambda pair: pair.problem)
