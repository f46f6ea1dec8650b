"""The answer finally given, along a checkpoint's own trace: before the first step, after the last, and
between.

What was there beforehand is held against what other problems' answers have at the same place: where answers
are few, or one is likely everywhere, a checkpoint that knows nothing yet gives all of them much.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.measures.trace.along import AnswerAlong, along, too_long
from undertext.measures.trace.trails import Trail
from undertext.tasks.draws import seeds
from undertext.tasks.steps import Span

OTHERS = 4
"""Answers given to other problems that are scored beside a trace's own."""
PLACES = 10
"""Most places after the first at which a trace's answers are scored: a trace of more steps is scored after
some of them, as evenly apart as its steps allow."""


@dataclass(frozen=True, eq=False)
class Curve:
    """What is scored along one trace."""

    shares: Float[ndarray, " place"]
    """The share of the trace's steps that stands before each place: from 0 to 1; 0 alone without a step."""
    given: Float[ndarray, " place"]
    """Probability of the answer that the trace comes to."""
    right: Float[ndarray, " place"] | None
    """Natural log-probability of the right answer; None where it does not fit the context."""


@dataclass(frozen=True, eq=False)
class Ends:
    """A row a trace that gives an answer."""

    index: list[int]
    """Index of each row's problem."""
    before: Float[ndarray, " row"]
    """Probability of the answer before the first step."""
    after: Float[ndarray, " row"]
    """After the last one."""
    by_chance: Float[ndarray, " row"]
    """Before the first step, of what is answered to other problems: the mean over `OTHERS` of them, as many
    as there are; NaN of a trace that stands alone."""
    stepped: Bool[ndarray, " row"]
    """Whether the trace has a step: without one its two ends are one."""
    long: int
    """Number of traces that do not fit the context with an answer."""
    curves: Sequence[Curve] = ()
    """A row each."""


def ends(
    checkpoint: Checkpoint,
    trails: Mapping[int, Trail],
    lead: str,
    seed: int,
    *,
    progress: Callable[[int], None] | None = None,
) -> Ends:
    """Score the given answers and the right ones along these traces, by the problem's index.

    Traces without an answer have no row. The other problems are drawn by the seed and the problem's id.
    `progress` is called with the number of traces scored since its last call.
    """
    given = {i: trail for i, trail in trails.items() if trail.answer is not None}
    others = _others(given, seed)
    asked: list[tuple[int, Trail, Float[ndarray, " place"], list[str]]] = []
    for i, trail in given.items():
        few, shares = _at_places(trail)
        answer, right = trail.answer or "", trail.problem.answer
        if too_long(checkpoint, few, [answer, *others[i]], lead):
            continue
        both = right != answer and right.strip() and not too_long(checkpoint, few, [right], lead)
        asked.append((i, few, shares, [answer, right] if both else [answer]))
    answers = [own for *_, own in asked]
    total, done = sum(map(len, answers)), 0

    def scored(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if progress is not None:
            progress(done * len(asked) // total - before * len(asked) // total)

    own = along(checkpoint, [few for _, few, _, _ in asked], answers, lead, progress=scored)
    held = [(i, replace(trail, steps=())) for i, trail, _, _ in asked if others[i]]
    theirs = along(checkpoint, [bare for _, bare in held], [others[i] for i, _ in held], lead)
    chance = {
        i: np.mean([each.probability[0] for each in rows]) for (i, _), rows in zip(held, theirs, strict=True)
    }
    return Ends(
        index=[i for i, *_ in asked],
        before=np.array([rows[0].probability[0] for rows in own], float),
        after=np.array([rows[0].probability[-1] for rows in own], float),
        by_chance=np.array([chance.get(i, np.nan) for i, *_ in asked], float),
        stepped=np.array([bool(trail.steps) for _, trail, _, _ in asked], bool),
        long=len(given) - len(asked),
        curves=[
            Curve(shares, rows[0].probability, _right(trail, rows))
            for (_, trail, shares, _), rows in zip(asked, own, strict=True)
        ],
    )


def _right(trail: Trail, rows: Sequence[AnswerAlong]) -> Float[ndarray, " place"] | None:
    """What was scored of the right answer: its own row, or that of the given one where they are one text."""
    if len(rows) > 1:
        return rows[1].log_probs
    return rows[0].log_probs if trail.answer == trail.problem.answer else None


def _at_places(trail: Trail) -> tuple[Trail, Float[ndarray, " place"]]:
    """The trace with its steps joined into `PLACES` at most, and the share of steps before each place."""
    count = len(trail.steps)
    places = np.linspace(0, count, min(count, PLACES) + 1).round().astype(int)
    joined = tuple(
        Span(trail.steps[first].start, trail.steps[after - 1].end) for first, after in pairwise(places)
    )
    return replace(trail, steps=joined), places / max(1, count)


def _others(trails: Mapping[int, Trail], seed: int) -> dict[int, Sequence[str]]:
    """Answers given to other problems, for each."""
    order = sorted(trails, key=lambda i: trails[i].problem.id)
    answers = [trails[i].answer or "" for i in order]
    streams = seeds([trails[i].problem for i in order], seed)
    found: dict[int, Sequence[str]] = {}
    for place, (i, stream) in enumerate(zip(order, streams, strict=True)):
        some = random.Random(stream).sample(range(len(order) - 1), min(OTHERS, len(order) - 1))
        found[i] = [answers[k + (k >= place)] for k in some]
    return found
