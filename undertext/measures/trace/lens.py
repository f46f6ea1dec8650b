"""The answer read after every token of a trace: by a probe, and by the logit lens and a tuned lens beside
it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import tokens_before
from undertext.core.setup import threads
from undertext.core.terms import CHOOSE, FIT, ReaderKind
from undertext.probes import fit_select, lens_reader, probe_reader, read_traces, train_tuned_lens
from undertext.probes.trace import Reader, TraceReading
from undertext.tasks.draws import drawn
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import answer_said, reading_text

MAX_ANSWERS = 20
"""A task with more distinct answers than this is not read."""
LENS_STEPS, LENS_RATE = 100, 3e-3
READINGS = pa.schema(
    [
        ("problem", pa.string()),
        ("reader", pa.string()),
        ("layer", pa.int64()),
        ("token", pa.int64()),
        ("before", pa.int64()),
        ("probability", pa.float64()),
        ("right", pa.bool_()),
    ]
)
"""Columns of the table `readings`; docs/probes.md says what each column holds."""


class Said(NamedTuple):
    """A problem whose trace says its answer, and the character of the trace at which it does."""

    problem: Problem
    at: int


class Answers(NamedTuple):
    """What a task's readers are fitted to and read on."""

    said: Mapping[str, Sequence[Said]]
    """The traces of train and dev that say their answer."""
    classes: Sequence[str]
    """The answers that train's traces say."""
    problems: Sequence[Problem]
    """Those that are read: each has a trace, and an answer among `classes`."""


def answers_of(task: Task, split: str, most: int, seed: int) -> Answers:
    """The answers of a task, and at most so many problems of `split`, drawn.

    Raises UserError for a split the task lacks, a task without traces or with more than `MAX_ANSWERS`
    answers, and a split in which nothing can be read.
    """
    task.split(split)
    said = {
        name: [Said(problem, at) for problem in task.split(name) if (at := answer_said(problem)) is not None]
        for name in (FIT, CHOOSE)
    }
    classes = sorted({each.problem.answer for each in said[FIT]})
    if not 2 <= len(classes) <= MAX_ANSWERS or not said[CHOOSE]:
        raise UserError(
            f"task {task.name}: expected 2 to {MAX_ANSWERS} answers that traces of train and dev say, got "
            f"{len(classes)} in train, and {len(said[CHOOSE])} such traces in dev"
        )
    problems = drawn((p for p in task.split(split) if p.answer in classes and trace_of(p)), seed, most)
    if not problems:
        raise UserError(f"task {task.name}: no problem of {split} has a trace and an answer that train shows")
    return Answers(said, classes, problems)


def trace_of(problem: Problem) -> str:
    """The trace, with the space before it."""
    return reading_text(problem)[len(problem.prompt) :]


def read_answers(
    checkpoint: Checkpoint,
    task: Task,
    answers: Answers,
    kind: ReaderKind,
    points: Sequence[HookPoint],
    *,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> TraceReading:
    """Read the answer after every token of each problem's trace, at every point.

    The probe is fitted on train to the last token before a trace says its answer, its strength chosen on dev;
    the tuned lens is trained on train's texts. Raises UserError as `probes.read_traces` does.
    """
    return read_traces(
        checkpoint,
        [problem.prompt for problem in answers.problems],
        [trace_of(problem) for problem in answers.problems],
        points,
        _reader(checkpoint, task, answers, kind, points, seed),
        [answers.classes.index(problem.answer) for problem in answers.problems],
        [answer_said(problem) for problem in answers.problems],
        progress=progress,
    )


def readings_table(kind: ReaderKind, reading: TraceReading, problems: Sequence[Problem]) -> pa.Table:
    """A row for each problem, layer and token."""
    columns: dict[str, list[Any]] = {name: [] for name in READINGS.names}
    for problem, probability, right, said in zip(
        problems, reading.probability, reading.right, reading.said, strict=True
    ):
        for i, point in enumerate(reading.points):
            n = len(probability)
            columns["problem"] += [problem.id] * n
            columns["reader"] += [kind] * n
            columns["layer"] += [point.layer] * n
            columns["token"] += range(n)
            columns["before"] += [None if said is None else said - k for k in range(n)]
            columns["probability"] += probability[:, i].tolist()
            columns["right"] += right[:, i].tolist()
    return pa.table(columns, schema=READINGS)


def _reader(
    checkpoint: Checkpoint,
    task: Task,
    answers: Answers,
    kind: ReaderKind,
    points: Sequence[HookPoint],
    seed: int,
) -> Reader:
    if kind == "probe":
        return _probe(checkpoint, answers, points)
    tokens = _first_tokens(checkpoint, answers)
    if kind == "logit_lens":
        return lens_reader(checkpoint, points, tokens)
    texts = [reading_text(problem) for problem in task.split(FIT)]
    with threads(1):  # sums over threads come in another order, and training amplifies what that changes
        lens = train_tuned_lens(checkpoint, texts, steps=LENS_STEPS, lr=LENS_RATE, seed=seed)
    return lens_reader(checkpoint, points, tokens, lens)


def _probe(checkpoint: Checkpoint, answers: Answers, points: Sequence[HookPoint]) -> Reader:
    sets = []
    index = {answer: i for i, answer in enumerate(answers.classes)}
    for split in (FIT, CHOOSE):
        said = answers.said[split]
        located = [tokens_before(checkpoint, reading_text(p), [len(p.prompt) + at]) for p, at in said]
        X = capture(checkpoint, [ids for ids, _ in located], points, [at for _, at in located]).activations
        sets += [X, torch.tensor([index.get(p.answer, -1) for p, _ in said])]
    return probe_reader(fit_select(*sets).probe)


def _first_tokens(checkpoint: Checkpoint, answers: Answers) -> Int[Tensor, " answer"]:
    """The token that each answer most often begins with, where traces of train say it."""
    first: dict[str, Counter[int]] = {answer: Counter() for answer in answers.classes}
    for problem, at in answers.said[FIT]:
        ids, (before,) = tokens_before(checkpoint, reading_text(problem), [len(problem.prompt) + at])
        first[problem.answer][ids[before + 1]] += 1
    return torch.tensor([first[answer].most_common(1)[0][0] for answer in answers.classes])
