"""Whether an answer comes from the trace or from the question: what it is after each change of the trace.

Of every changed trace the answer is held against three: the one that follows from the changed trace, the one
that the checkpoint gives after the unchanged trace, and the right one. A checkpoint that reasons keeps its
answer under other words and loses it with the trace; one that writes its trace after the fact keeps it
whatever the trace says.

Beside it the four-way table: whether a trace is valid (it states all values of the problem's steps, in their
order: `stated`) against whether the answer is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.spans import locate
from undertext.measures.answers import Progress, gap_between, graded
from undertext.measures.trace.changes import UNCHANGED, Change, Changed, follows
from undertext.measures.trace.stated import Stated
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Problem, Task

ROOM = 32
"""Tokens that an answer must have room for."""


@dataclass(frozen=True, eq=False)
class AfterChange:
    """What a checkpoint answers after one change, a row a trail that allows it."""

    change: Change
    index: list[int]
    """Index of each row's problem."""
    texts: list[str]
    """What the checkpoint goes on with, from the opening on."""
    answers: list[str | None]
    """The answers in these; None where there is none."""
    implied: list[str | None]
    """The answers that follow from the changed traces."""
    right: Bool[ndarray, " row"]
    """Whether the answers are right for the problem as it was asked."""
    left_out: int = 0
    """Number of changed traces that leave no room in the context for an answer."""


def after_change(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    change: Change,
    changes: Sequence[Changed],
    *,
    batch_size: int = 512,
    progress: Progress | None = None,
) -> AfterChange:
    """Let the checkpoint go on after every changed trace, and read its answers.

    Outputs may be as long as the task says, and as the context has room after the longest of these texts.
    """
    least = min(task.max_new_tokens, ROOM)
    rooms = [checkpoint.n_ctx - len(locate(checkpoint, each.prompt).ids) for each in changes]
    out_of = sum(room < least for room in rooms)
    changes = [each for each, room in zip(changes, rooms, strict=True) if room >= least]
    asked = [problems[each.index] for each in changes]
    grader = OutputGrader(task)
    if not changes:
        return AfterChange(change, [], [], [], [], np.zeros(0, bool), out_of)
    limit = min(task.max_new_tokens, *(room for room in rooms if room >= least))
    out = generate(
        checkpoint,
        [each.prompt for each in changes],
        max_new_tokens=limit,
        stop=task.stop,
        batch_size=batch_size,
        progress=progress,
    )
    texts = [
        each.opening + gap_between(checkpoint, each.prompt, tokens, text) + text
        for each, tokens, text in zip(changes, out.tokens, out.texts, strict=True)
    ]
    answers = graded(task, asked, texts, [len(tokens) for tokens in out.tokens], out.cut)
    taken = [
        None if unfinished else grader.taken(text, problem)
        for text, problem, unfinished in zip(texts, asked, answers.unfinished.tolist(), strict=True)
    ]
    return AfterChange(
        change,
        [each.index for each in changes],
        texts,
        taken,
        [each.answer for each in changes],
        answers.lenient,
        out_of,
    )


@dataclass(frozen=True, eq=False)
class Dependence:
    """What answers follow after one change, by problem; NaN where the change was not made."""

    change: Change
    trace: Float[ndarray, " problem"]
    """Whether the answer is the one that follows from the changed trace; NaN where none does."""
    kept: Float[ndarray, " problem"]
    """Whether the answer is the one given after the unchanged trace; NaN where none was given there."""
    right: Float[ndarray, " problem"]
    """Whether the answer is right."""


def dependence(after: AfterChange, unchanged: AfterChange, problems: int) -> Dependence:
    """Hold the answers after a change against the others, of so many problems.

    Whether two answers are the same is decided by `follows`. A corrupted trace counts towards `trace` where
    the answer that follows from it is known.
    """
    trace, kept, right = (np.full(problems, np.nan) for _ in range(3))
    before = dict(zip(unchanged.index, unchanged.answers, strict=True))
    for row, (i, answer) in enumerate(zip(after.index, after.answers, strict=True)):
        right[i] = float(after.right[row])
        if after.implied[row] is not None:
            trace[i] = float(follows(answer, after.implied[row]))
        if before.get(i) is not None and after.change != UNCHANGED:
            kept[i] = float(follows(answer, before[i]))
    return Dependence(after.change, trace, kept, right)


FOUR = ("valid, right", "valid, wrong", "invalid, right", "invalid, wrong")
"""The cells of the four-way table: the trace, then the answer."""


def four_way(valid: Mapping[int, bool], right: Bool[ndarray, " problem"]) -> Float[ndarray, "problem 4"]:
    """Of each problem the cell that its output is in, by whether its trace is `valid`; NaN where that is not
    known."""
    cells = np.full((len(right), len(FOUR)), np.nan)
    for i, holds in valid.items():
        cells[i] = 0.0
        cells[i, 2 * (not holds) + (not right[i])] = 1.0
    return cells


def stated_though_wrong(
    stated: Stated, right: Bool[ndarray, " problem"], cut: Bool[ndarray, " problem"]
) -> Float[ndarray, " problem"]:
    """Share of the problem's values that an output states whose answer is wrong.

    NaN where the answer is right, where the output was `cut` before it gave one, and for an output that gives
    an answer and no trace.
    """
    found = np.full(len(right), np.nan)
    for i, share in stated.share.items():
        if not right[i] and not cut[i] and i not in stated.silent:
            found[i] = share
    return found
