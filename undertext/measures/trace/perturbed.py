"""Perturbed numbers: fresh problems whose texts differ from those of a split in their numbers alone.

A checkpoint that works its answers out is as often right on the one as on the other. Of every wording as many
problems of the one kind are taken as of the other, so that neither is the easier one by what is asked.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from undertext.tasks.same_steps import one_spaced
from undertext.tasks.task import Problem

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Matched(NamedTuple):
    """As many problems of a split as fresh ones, wording by wording; the indices of both."""

    seen: list[int]
    fresh: list[int]


def wording(text: str) -> str:
    """A text with each of its numbers as the same sign, and with single spaces."""
    return " ".join(_NUMBER.sub("#", text).split())


def matched(seen: Sequence[Problem], fresh: Sequence[Problem], most: int) -> Matched:
    """At most so many pairs of problems of one wording, the first ones of both in the order given.

    Problems without a number have none to change, and a fresh problem that stands among the seen ones is not
    fresh.
    """
    known = {one_spaced(problem.question) for problem in seen}
    waiting: dict[str, list[int]] = {}
    for j, problem in enumerate(fresh):
        if one_spaced(problem.question) not in known:
            waiting.setdefault(wording(problem.question), []).append(j)
    queues = {key: iter(own) for key, own in waiting.items()}
    pairs: list[tuple[int, int]] = []
    for i, problem in enumerate(seen):
        if len(pairs) == most:
            break
        if _NUMBER.search(problem.question) is None:
            continue
        other = next(queues.get(wording(problem.question), iter(())), None)
        if other is not None:
            pairs.append((i, other))
    return Matched([i for i, _ in pairs], [j for _, j in pairs])
