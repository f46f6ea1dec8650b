"""The answer finally given, at both ends of a checkpoint's own trace: before the first step, after the last.

What was there beforehand is held against what other problems' answers have at the same place: where answers
are few, or one is likely everywhere, a checkpoint that knows nothing yet gives all of them much.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.measures.trace.along import along, too_long
from undertext.measures.trace.trails import Trail
from undertext.tasks.draws import seeds
from undertext.tasks.steps import Span

OTHERS = 4
"""Answers given to other problems that are scored beside a trace's own."""


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


def ends(
    checkpoint: Checkpoint,
    trails: Mapping[int, Trail],
    lead: str,
    seed: int,
    *,
    progress: Callable[[int], None] | None = None,
) -> Ends:
    """Score the given answers at both ends of these traces, by the problem's index.

    Traces without an answer have no row. The other problems are drawn by the seed and the problem's id.
    """
    given = {i: trail for i, trail in trails.items() if trail.answer is not None}
    others = _others(given, seed)
    asked: list[tuple[int, Trail, str]] = []
    for i, trail in given.items():
        whole, answer = _in_one(trail), trail.answer or ""
        if not too_long(checkpoint, whole, [answer, *others[i]], lead):
            asked.append((i, whole, answer))
    own = along(checkpoint, [t for _, t, _ in asked], [[a] for *_, a in asked], lead, progress=progress)
    held = [(i, replace(trail, steps=())) for i, trail, _ in asked if others[i]]
    theirs = along(checkpoint, [bare for _, bare in held], [others[i] for i, _ in held], lead)
    chance = {
        i: np.mean([each.probability[0] for each in rows]) for (i, _), rows in zip(held, theirs, strict=True)
    }
    return Ends(
        index=[i for i, *_ in asked],
        before=np.array([rows[0].probability[0] for rows in own], float),
        after=np.array([rows[0].probability[-1] for rows in own], float),
        by_chance=np.array([chance.get(i, np.nan) for i, *_ in asked], float),
        stepped=np.array([bool(trail.steps) for _, trail, _ in asked], bool),
        long=len(given) - len(asked),
    )


def _in_one(trail: Trail) -> Trail:
    """The trace with all of its steps as one: nothing is scored between them."""
    if not trail.steps:
        return trail
    return replace(trail, steps=(Span(trail.steps[0].start, trail.steps[-1].end),))


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
