"""Criteria against labels: a reading of good steps, carried to types of problem never seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from undertext.activations.hookpoint import HookPoint
from undertext.core.resume import Done, Part
from undertext.core.terms import CHOOSE, FIT, Role
from undertext.jobs.measure.read_beside import Placed, reading_columns, reading_rows
from undertext.jobs.measure.stage import TRACES, Stage
from undertext.measures.decoding.beside_nulls import Beside, cannot_be_read, read_beside
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import VALID, VALIDITY, step_positions
from undertext.tasks.value_tokens import locate_values

UNSEEN, SEEN = "good step, types never seen", "good step, all types"
GOLD = TRACES["gold"]


@dataclass(frozen=True, eq=False)
class Carried:
    """What was read by probes of the other types alone, and of all types; or why nothing was."""

    unseen: Beside | None = None
    seen: Beside | None = None
    reason: str = ""


def criteria(stage: Stage) -> None:
    """Valid and invalid steps of the task's traces, read at their ends."""
    reason = _reason(stage)
    if reason is not None:
        stage.collected.miss("criteria", "all of it", reason)
        return
    found: dict[str, dict[Role, Placed]] = {UNSEEN: {}, SEEN: {}}
    for role in stage.roles:
        problems = stage.work.subjects[role].problems
        part = Part(f"criteria/{role}", partial(_read, stage, role), len(problems), f"{role}'s good steps")
        (carried,) = stage.run.make([part])
        if carried.reason:
            stage.collected.miss("criteria", role, carried.reason)
            continue
        ids = [problem.id for problem in problems]
        steps = [k for problem in problems for k in range(len(problem.steps))]
        for name, beside in ((UNSEEN, carried.unseen), (SEEN, carried.seen)):
            found[name][role] = Placed(beside, range(len(problems)))
            reading_rows(stage.collected, "criteria", name, GOLD, role, found[name][role], ids, steps)
    own = {
        name: reading_columns(stage.collected, "criteria", name, GOLD, by_role, stage.n)
        for name, by_role in found.items()
    }
    lost = {role: own[UNSEEN][role] - own[SEEN][role] for role in own[UNSEEN]}
    if lost:
        name = "good step: types never seen less all types"
        stage.collected.add("criteria", name, GOLD, "difference", lost)


def _reason(stage: Stage) -> str | None:
    """Why there is nothing to be read; None where there is."""
    subject = stage.work.subjects["base"]
    steps = [step for problem in subject.task.problems for step in problem.steps]
    if not steps:
        return "the task names no steps"
    if all(step.valid for step in steps):
        return "the task calls all of its steps valid"
    fitted = {problem.type for problem in subject.task.split(FIT) if problem.steps and problem.type}
    read = {problem.type for problem in subject.problems if problem.steps and problem.type}
    if not read or not any(fitted - {each} for each in read):
        return "problems are of one type, or of none: there is no other one to read"
    return None


def _read(stage: Stage, role: Role, done: Done) -> Carried:
    subject, config = stage.work.subjects[role], stage.work.config
    problems: dict[str, Sequence[Problem]] = {
        **{split: stage.fit_problems(role, split) for split in (FIT, CHOOSE)}, "read": subject.problems,
    }  # fmt: skip
    tokens = {s: locate_values(subject.checkpoint, own, step_positions) for s, own in problems.items()}
    reason = cannot_be_read(tokens, VALID, len(VALIDITY))
    if reason is not None:
        return Carried(reason=reason)
    points = [HookPoint(layer, "resid_post") for layer in stage.layers]
    groups = {split: [problem.type for problem in own] for split, own in problems.items()}
    unseen, seen = (
        read_beside(subject.checkpoint, tokens, VALID, VALIDITY, points, "read", seed=config.seed, groups=by)
        for by in (groups, None)
    )
    done(len(subject.problems))
    return Carried(unseen, seen)
