"""What is read of the two checkpoints' own traces, for the flags beside a verdict: parts of the job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jaxtyping import Bool
from numpy import ndarray

from undertext.activations.pair import Pair
from undertext.core.job import JobRun
from undertext.core.resume import Done, Part
from undertext.core.terms import FIT, ROLES, Role
from undertext.jobs.compare.config import CompareConfig
from undertext.measures.answers import Answers, greedy
from undertext.measures.trace.changes import UNCHANGED, Change, changed
from undertext.measures.trace.completion import Completed, completed
from undertext.measures.trace.dependence import AfterChange, after_change
from undertext.measures.trace.ends import Ends, ends
from undertext.measures.trace.perturbed import Matched, matched
from undertext.measures.trace.trails import Trail, output_trails, split_by
from undertext.tasks.draws import drawn
from undertext.tasks.task import Problem, Task

REPLACED: tuple[Change, ...] = ("filler", "another")
"""What a trace is replaced by: dots, and the trace of another problem."""


@dataclass(frozen=True, eq=False)
class Traced:
    """One checkpoint on one split."""

    ends: Ends
    after: dict[Change, AfterChange]
    """Answers after the unchanged trace and after each replacement, of traces with a step."""
    stepped: int
    """Number of outputs with a step before their answer."""


@dataclass(frozen=True, eq=False)
class OtherNumbers:
    """Right answers to problems of a split, and to fresh ones that differ from them in numbers alone."""

    seen: list[int]
    """Indices of the first in their split."""
    fresh: list[int]
    """Indices of the second in theirs."""
    right: Bool[ndarray, " fresh"]
    """Whether each of these is answered rightly."""


@dataclass(frozen=True, eq=False)
class TraceReads:
    """Everything that was read of the traces of a pair."""

    traced: Mapping[tuple[str, Role], Traced]
    """By split and checkpoint."""
    completed: Mapping[tuple[str, Role], Completed]
    """Partial-prompt completion, by split and checkpoint; the split of fresh problems among the splits."""
    other_numbers: Mapping[tuple[str, Role], OtherNumbers] = field(default_factory=dict)
    """By split and checkpoint; none where no fresh problem differs from one of the split in numbers alone."""


def read_traces(
    run: JobRun,
    task: Task,
    unasked: Pair,
    asked: Pair,
    tasks: Mapping[Role, Task],
    splits: Sequence[str],
    answered: Mapping[str, Mapping[Role, Answers]],
    config: CompareConfig,
    of_base: Mapping[str, Any],
) -> TraceReads | None:
    """Read the traces of at most `config.trace_problems` problems a split, drawn by the seed.

    `task` and `unasked` are the task and the checkpoints before they are asked in a form: problems are
    completed as they stand in the task. `of_base` is what the base's parts depend on. None where no problem
    is to be read, and where answers are chosen by likelihood: then no checkpoint writes any trace.
    """
    if not config.trace_problems or task.grader.kind == "likelihood":
        return None
    rule, lead = split_by(task, FIT, config.steps, config.lead)

    def read(split: str, role: Role, done: Done) -> Traced:
        own, checkpoint = tasks[role], getattr(asked, role)
        problems = own.split(split)
        trails = trails_of(own, split, answered[split][role], rule, config)
        whole = {i: trail for i, trail in trails.items() if not trail.unfinished}
        found = ends(checkpoint, whole, lead, config.seed, progress=done)
        after = {
            change: after_change(
                checkpoint, own, problems, change, changed(change, whole, lead, config.seed),
                batch_size=config.batch_size,
            )
            for change in (UNCHANGED, *REPLACED)
        }  # fmt: skip
        return Traced(found, after, sum(bool(trail.steps) for trail in whole.values()))

    def complete(split: str, role: Role, done: Done) -> Completed:
        texts = [problem.question for problem in drawn_of(task, split, config)]
        return completed(getattr(unasked, role), texts, batch_size=config.batch_size, progress=done)

    def answer(split: str, role: Role, done: Done) -> OtherNumbers:
        found = fresh_of(task, split, config)
        problems = [tasks[role].split(config.fresh)[j] for j in found.fresh]
        size = config.batch_size
        made = greedy(getattr(asked, role), tasks[role], problems, batch_size=size, progress=done)
        return OtherNumbers(found.seen, found.fresh, made.lenient)

    def part(name: str, make: Any, split: str, role: Role) -> Part:
        units, of = len(drawn_of(task, split, config)), of_base if role == "base" else None
        return Part(f"{name}/{split}/{role}", partial(make, split, role), units, f"{role}'s traces", of)

    keys = [(split, role) for role in ROLES for split in splits]
    to_complete = [(split, role) for role in ROLES for split in dict.fromkeys([*splits, config.fresh])]
    traced = run.make([part("traces", read, *key) for key in keys])
    written = run.make([part("completed", complete, *key) for key in to_complete])
    to_answer = [key for key in keys if fresh_of(task, key[0], config).seen]
    answered_too = run.make([part("other_numbers", answer, *key) for key in to_answer])
    return TraceReads(
        dict(zip(keys, traced, strict=True)),
        dict(zip(to_complete, written, strict=True)),
        dict(zip(to_answer, answered_too, strict=True)),
    )


def fresh_of(task: Task, split: str, config: CompareConfig) -> Matched:
    """Problems of a split, and fresh ones that differ from them in numbers alone; by their indices there.

    At most `trace_problems`, drawn by the seed; none of the split of fresh problems itself.
    """
    if split == config.fresh:
        return Matched([], [])
    own, fresh = (drawn(task.split(each), config.seed) for each in (split, config.fresh))
    found = matched(own, fresh, config.trace_problems)
    places = [{problem.id: i for i, problem in enumerate(task.split(s))} for s in (split, config.fresh)]
    return Matched([places[0][own[i].id] for i in found.seen], [places[1][fresh[j].id] for j in found.fresh])


def drawn_of(task: Task, split: str, config: CompareConfig) -> list[Problem]:
    """The problems of a split whose traces are read."""
    return drawn(task.split(split), config.seed, config.trace_problems)


def trails_of(task: Task, split: str, answers: Answers, rule: str, config: CompareConfig) -> dict[int, Trail]:
    """The traces that a checkpoint wrote to these problems, by their index in the split."""
    place = {problem.id: i for i, problem in enumerate(task.split(split))}
    problems = drawn_of(task, split, config)
    index = [place[problem.id] for problem in problems]
    texts, cut = [answers.texts[i] for i in index], [bool(answers.unfinished[i]) for i in index]
    return dict(zip(index, output_trails(task, problems, texts, cut, rule), strict=True))
