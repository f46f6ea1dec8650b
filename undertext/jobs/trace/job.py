"""The answer read along a trace, token by token: by a probe, and by the logit and tuned lens beside it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import torch
from matplotlib.figure import Figure

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import tokens_before
from undertext.core.setup import layers_of, open_checkpoint, threads
from undertext.core.terms import CHOOSE, FIT
from undertext.probes import fit_select, lens_reader, probe_reader, read_traces, train_tuned_lens
from undertext.probes.trace import Reader, TraceReading
from undertext.report.figures.trace import trace_figure
from undertext.tasks.open import open_task
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import answer_said, reading_text

ReaderKind = Literal["probe", "logit_lens", "tuned_lens"]
READERS: tuple[ReaderKind, ...] = ("probe", "logit_lens", "tuned_lens")
MOST_ANSWERS = 20
"""A task with more distinct answers than this is not read."""
LENS_STEPS, LENS_RATE = 100, 3e-3
TRACE = pa.schema(
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
"""docs/probes.md says what each column holds."""


@dataclass(frozen=True, eq=False)
class Traced:
    """How well the answer reads after each token of each trace."""

    table: pa.Table
    """A row for each problem, reader, layer and token."""
    readings: dict[ReaderKind, TraceReading]
    """The same by reader; `readings[...].leads(point)` says since when it is told."""

    def figure(self, before: int = 8) -> Figure:
        """Layer by token, a panel a reader: share of problems whose answer is told, so many tokens before the
        trace says it. UserError where no trace says its answer."""
        return trace_figure(self.table, before)


def read_trace(
    checkpoint: str | Path | Checkpoint,
    task: str | Path | Task,
    *,
    split: str = "test",
    layers: Sequence[int] | None = None,
    readers: Sequence[ReaderKind] = READERS,
    problems: int = 200,
    seed: int = 0,
) -> Traced:
    """Read the answer after every token of the task's own traces, by each reader at each layer.

    The probe is fitted on train to the last token before a trace says its answer, its strength chosen on dev;
    the tuned lens is trained on train's texts, on one thread. At most so many `problems` of the split are
    read, those whose answer train shows. `checkpoint` and `task` are as in `probe`; by default at most 8
    layers, the last among them.

    Raises UserError for a reader or layer there is none of, a task without traces or with more than
    `MOST_ANSWERS` answers, and as `probes.read_traces` does.
    """
    if not readers or set(readers) - set(READERS):
        raise UserError(f"expected readers among {', '.join(READERS)}, got {', '.join(readers) or 'none'}")
    if not isinstance(checkpoint, Checkpoint):
        found = open_checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
        checkpoint = Checkpoint.load(found)
    task = open_task(task)
    points = [HookPoint(layer, "resid_post") for layer in layers_of(checkpoint, layers, 8)]
    said = {name: [each for p in task.split(name) if (each := _said(p))] for name in {FIT, CHOOSE, split}}
    answers = sorted({each.problem.answer for each in said[FIT]})
    if not 2 <= len(answers) <= MOST_ANSWERS or not said[CHOOSE]:
        raise UserError(
            f"task {task.name}: expected 2 to {MOST_ANSWERS} answers that traces of train and dev say, got "
            f"{len(answers)} in train, and {len(said[CHOOSE])} such traces in dev"
        )
    read_on = [p for p in task.split(split) if p.answer in answers and _trace(p)][:problems]
    if not read_on:
        raise UserError(f"task {task.name}: no problem of {split} has a trace and an answer that train shows")
    make: dict[ReaderKind, Callable[[], Reader]] = {
        "probe": lambda: _probe(checkpoint, said, answers, points),
        "logit_lens": lambda: lens_reader(checkpoint, points, _tokens(checkpoint, said[FIT], answers)),
        "tuned_lens": lambda: _tuned(checkpoint, task, said[FIT], answers, points, seed),
    }
    readings = {}
    with threads(1):
        for kind in dict.fromkeys(readers):
            readings[kind] = read_traces(
                checkpoint,
                [p.prompt for p in read_on],
                [_trace(p) for p in read_on],
                points,
                make[kind](),
                [answers.index(p.answer) for p in read_on],
                [answer_said(p) for p in read_on],
            )
    return Traced(_table(readings, read_on), readings)


class _Said(NamedTuple):
    problem: Problem
    at: int
    """Character of the trace."""


def _said(problem: Problem) -> _Said | None:
    at = answer_said(problem)
    return None if at is None else _Said(problem, at)


def _trace(problem: Problem) -> str:
    return reading_text(problem)[len(problem.prompt) :]


def _probe(
    checkpoint: Checkpoint,
    said: dict[str, list[_Said]],
    answers: Sequence[str],
    points: Sequence[HookPoint],
) -> Reader:
    sets = []
    for split in (FIT, CHOOSE):
        placed = [tokens_before(checkpoint, reading_text(p), [len(p.prompt) + at]) for p, at in said[split]]
        X = capture(checkpoint, [ids for ids, _ in placed], points, [at for _, at in placed]).activations
        known = {answer: i for i, answer in enumerate(answers)}
        sets += [X, torch.tensor([known.get(p.answer, -1) for p, _ in said[split]])]
    return probe_reader(fit_select(*sets).probe)


def _tuned(
    checkpoint: Checkpoint,
    task: Task,
    said: Sequence[_Said],
    answers: Sequence[str],
    points: Sequence[HookPoint],
    seed: int,
) -> Reader:
    texts = [reading_text(problem) for problem in task.split(FIT)]
    lens = train_tuned_lens(checkpoint, texts, steps=LENS_STEPS, lr=LENS_RATE, seed=seed)
    return lens_reader(checkpoint, points, _tokens(checkpoint, said, answers), lens)


def _tokens(checkpoint: Checkpoint, said: Sequence[_Said], answers: Sequence[str]) -> torch.Tensor:
    """The token that each answer most often begins with, where traces say it."""
    first: dict[str, Counter[int]] = {answer: Counter() for answer in answers}
    for problem, at in said:
        ids, (before,) = tokens_before(checkpoint, reading_text(problem), [len(problem.prompt) + at])
        first[problem.answer][ids[before + 1]] += 1
    return torch.tensor([first[answer].most_common(1)[0][0] for answer in answers])


def _table(readings: dict[ReaderKind, TraceReading], problems: Sequence[Problem]) -> pa.Table:
    columns: dict[str, list[object]] = {name: [] for name in TRACE.names}
    for kind, reading in readings.items():
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
    return pa.table(columns, schema=TRACE)
