"""Exploration: dead ends entered and left, and whether activations know of one before the text says so."""

from collections.abc import Mapping, Sequence
from functools import partial

from numpy import ndarray

from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import locate
from undertext.core.resume import Done, Part
from undertext.core.terms import CHOOSE, FIT, Role
from undertext.jobs.measure.collected import difference_of_shares, spread
from undertext.jobs.measure.figures_of import Kind
from undertext.jobs.measure.read_beside import Placed, reading_columns, reading_rows
from undertext.jobs.measure.stage import TRACES, Stage
from undertext.measures.decoding.beside_nulls import Beside, cannot_be_read, read_beside
from undertext.measures.trace.exploration import (
    ALIVE,
    DEAD,
    ENDS,
    Asked,
    By,
    Marked,
    asked_steps,
    explored,
    marked,
    spaced,
)
from undertext.measures.trace.trails import Trail, Whose
from undertext.measures.trace.uncertainty import LEAST
from undertext.tasks.dead_ends import names_dead_ends
from undertext.tasks.value_tokens import ValueTokens, locate_labels

NAME, STATE = "dead branch", "state"
WHOSE: tuple[Whose, ...] = ("own", "gold")
ROWS = 16
"""Steps of one trace that are read at most, evenly spaced."""


def exploration(stage: Stage) -> None:
    """Dead ends in own traces and the task's, and what is read of them."""
    by = _by(stage)
    if by is None:
        reason = "the task's steps name no dead ends, and neither --dead-ends nor --says-dead is given"
        stage.collected.miss("exploration", "all of it", reason)
        return
    for whose in WHOSE:
        roles = [
            role for role in stage.roles if any(t.steps for t in stage.work.trails(role, whose).values())
        ]
        for role in stage.roles:
            if role not in roles:
                reason = "no trace has a step before its answer"
                stage.collected.miss("exploration", f"{role}, {TRACES[whose]}", reason)
                continue
            stage.marked[role, whose] = _marked(stage, stage.work.trails(role, whose), by)
        _counts(stage, roles, whose)
        _readings(stage, roles, whose, by)


def _by(stage: Stage) -> By | None:
    """What says which steps are dead, the surest first."""
    if stage.functions.dead_ends is not None:
        return "function"
    if names_dead_ends(stage.work.subjects["base"].task):
        return "task"
    return None if stage.work.config.says_dead is None else "pattern"


def _marked(stage: Stage, trails: Mapping[int, Trail], by: By) -> dict[int, Marked]:
    return marked(trails, by=by, pattern=stage.work.config.says_dead, function=stage.functions.dead_ends)


def _counts(stage: Stage, roles: Sequence[Role], whose: Whose) -> None:
    columns: dict[tuple[str, Kind], dict[Role, ndarray]] = {}
    gaps: dict[Role, ndarray] = {}
    for role in roles:
        marks = stage.marked[role, whose]
        counts = {i: explored(mark) for i, mark in marks.items()}
        index = list(counts)
        figures: tuple[tuple[str, Kind, list[float | None]], ...] = (
            ("steps of which it is known", "bounded",
             [c.known / len(marks[i].dead) if marks[i].dead else None for i, c in counts.items()]),
            ("traces with a dead end", "share",
             [float(c.entered > 0) if c.known else None for c in counts.values()]),
            ("dead ends entered", "mean", [float(c.entered) if c.known else None for c in counts.values()]),
            ("steps in a dead end", "bounded", [c.share for c in counts.values()]),
            ("dead ends left", "bounded", [c.recovered for c in counts.values()]),
            ("dead ends left per step", "bounded", [c.rate for c in counts.values()]),
        )  # fmt: skip
        for name, kind, values in figures:
            columns.setdefault((name, kind), {})[role] = spread(index, values, stage.n)
        entered = columns["traces with a dead end", "share"][role]
        gaps[role], statistic = difference_of_shares(stage.right[role].astype(float), entered)
        stage.collected.tables["exploration"] += [
            {
                "problem": marks[i].trail.problem.id,
                "checkpoint": role if whose == "own" else "task",
                "traces": TRACES[whose],
                "steps": len(marks[i].dead),
                "known": c.known,
                "dead": c.dead,
                "entered": c.entered,
                "left": c.left,
                "cut": c.cut,
            }
            for i, c in (counts.items() if whose == "own" or role == roles[0] else ())
        ]
    for (name, kind), by_role in columns.items():
        own = by_role if whose == "own" else {roles[0]: by_role[roles[0]]}
        stage.collected.add("exploration", name, TRACES[whose], kind, own, paired=whose == "own")
    if whose == "own" and roles:
        name = "accuracy with less without a dead end"
        stage.collected.add("exploration", name, TRACES[whose], "statistic", gaps, statistic=statistic)


def _readings(stage: Stage, roles: Sequence[Role], whose: Whose, by: By) -> None:
    """Whether a branch is dead, read at the ends of steps that do not say so."""
    found: dict[Role, Placed] = {}
    for role in roles:
        problems = stage.work.subjects[role].problems
        read = _asked(stage, role, stage.marked[role, whose], by)
        what = f"{NAME}, {role}, {TRACES[whose]}"
        if not read:
            stage.collected.miss("exploration", what, "no step is to be read")
            continue
        index = [i for i, _, _ in read]
        sets: dict[str, list[tuple[int, Trail, list[Asked]]]] = {"read": read}
        for split in (FIT, CHOOSE):
            fitted = stage.fitted(role)[split] if whose == "own" else None
            some = stage.fit_problems(role, split)
            trails = stage.work.fit_trails(role, some, None if fitted is None else fitted.answers)
            sets[split] = _asked(stage, role, _marked(stage, dict(enumerate(trails)), by), by)
        part = Part(
            f"exploration/{role}/{whose}", partial(_read, stage, role, sets), len(read), f"{role}'s dead ends"
        )
        few = _too_few(sets)
        if few is not None:
            stage.collected.miss("exploration", what, few)
            continue
        (beside,) = stage.run.make([part])
        if isinstance(beside, str):
            stage.collected.miss("exploration", what, beside)
            continue
        found[role] = Placed(beside, index)
        steps = [row.step for _, _, rows in read for row in rows]
        ids = [problem.id for problem in problems]
        reading_rows(stage.collected, "exploration", NAME, TRACES[whose], role, found[role], ids, steps)
    reading_columns(stage.collected, "exploration", NAME, TRACES[whose], found, stage.n)


def _asked(
    stage: Stage, role: Role, marks: Mapping[int, Marked], by: By
) -> list[tuple[int, Trail, list[Asked]]]:
    """The traces that fit the context and have steps to be read at, with these."""
    checkpoint, config = stage.work.subjects[role].checkpoint, stage.work.config
    made = []
    for i, mark in marks.items():
        rows = spaced(asked_steps(mark, by), ROWS)
        short = len(mark.dead) <= config.max_steps
        if rows and short and len(locate(checkpoint, mark.trail.reading).ids) <= checkpoint.n_ctx:
            made.append((i, mark.trail, rows))
    return made


def _too_few(sets: Mapping[str, Sequence[tuple[int, Trail, list[Asked]]]]) -> str | None:
    for split, traces in sets.items():
        states = [row.state for _, _, rows in traces for row in rows]
        if split != "read" and min(states.count(each) for each in (ALIVE, DEAD)) < LEAST:
            return f"{split} holds fewer than {LEAST} steps in a dead end, or outside, that do not say so"
    return None


def _read(
    stage: Stage, role: Role, sets: Mapping[str, Sequence[tuple[int, Trail, list[Asked]]]], done: Done
) -> Beside | str:
    checkpoint = stage.work.subjects[role].checkpoint
    tokens: dict[str, ValueTokens] = {}
    for split, traces in sets.items():
        texts = [trail.reading for _, trail, _ in traces]
        labels = [[(trail.points[row.step + 1], row.state) for row in rows] for _, trail, rows in traces]
        tokens[split] = locate_labels(checkpoint, texts, labels, STATE)
    reason = cannot_be_read(tokens, STATE, len(ENDS))
    if reason is not None:
        return reason
    points = [HookPoint(layer, "resid_post") for layer in stage.layers]
    found = read_beside(checkpoint, tokens, STATE, ENDS, points, "read", seed=stage.work.config.seed)
    done(len(sets["read"]))
    return found
