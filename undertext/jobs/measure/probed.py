"""Confidence along traces by probes: of the right answer, of the one finally given, and of being right."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy import ndarray

from undertext.activations.hookpoint import HookPoint
from undertext.core.resume import Done, Part
from undertext.core.terms import CHOOSE, FIT, Role
from undertext.jobs.measure.collected import TrailReads, spread
from undertext.jobs.measure.figures_of import Kind
from undertext.jobs.measure.parts import Probed
from undertext.jobs.measure.read_beside import Placed, reading_columns, reading_rows
from undertext.jobs.measure.stage import TRACES, Stage, unfinished_fit, without
from undertext.jobs.measure.trajectories import by_probe, trajectory_columns
from undertext.measures.decoding.beside_nulls import Beside, cannot_be_read, read_beside
from undertext.measures.trace.along import too_long
from undertext.measures.trace.probe_along import RIGHT, WRONG, ProbeAlong, read_along
from undertext.measures.trace.trails import Trail, Whose
from undertext.measures.trace.uncertainty import brier
from undertext.tasks.value_tokens import locate_labels

BEFORE, AFTER = "right answer before the first step", "right answer after the last step"
ANSWER = "answer"
Labelled = list[tuple[Trail, str]]
FITTED: tuple[Whose, ...] = ("own", "gold")
"""Traces that probes are fitted on; the other's traces are read by the probes of own traces."""


def probed(stage: Stage, reads: Mapping[tuple[Role, Whose], TrailReads]) -> None:
    """Read every kind of traces that was read, into `stage.probed`; figures of own traces and the task's."""
    for whose in FITTED:
        by_role: dict[Role, Probed] = {}
        for role in [role for role in stage.roles if (role, whose) in reads]:
            own = reads[role, whose].trails
            other = reads[role, "other"].trails if whose == "own" and (role, "other") in reads else []
            if whose == "own":
                unfinished_fit(stage, role, "confidence")
            sets = {split: _labelled(stage, role, split, whose) for split in (FIT, CHOOSE)}
            make = partial(_read, stage, role, sets, own, other)
            (found,) = stage.run.make([Part(f"probed/{role}/{whose}", make, len(own), f"{role}'s probes")])
            by_role[role] = stage.probed[role, whose] = found.part(0, len(own))
            if other:
                stage.probed[role, "other"] = found.part(len(own), len(own) + len(other))
            for what, reason in found.missed.items():
                stage.collected.miss("confidence", f"{what}, {role}, {TRACES[whose]}", reason)
        own_reads = {role: reads[role, whose] for role in by_role}
        _trajectories(stage, whose, by_role, own_reads)
        _ends(stage, whose, by_role, own_reads)


def _labelled(stage: Stage, role: Role, split: str, whose: Whose) -> tuple[Labelled, list[bool | None]]:
    """Traces of train or dev, each with the right answer, and whether the answer that they give is right:
    None of a trace that was cut before one."""
    fitted = stage.fitted(role)[split] if whose == "own" else None
    problems = stage.fit_problems(role, split)
    trails = stage.work.fit_trails(role, problems, None if fitted is None else fitted.answers)
    right = (
        []
        if fitted is None
        else [
            None if trail.unfinished else each
            for trail, each in zip(trails, fitted.answers.lenient.tolist(), strict=True)
        ]
    )
    checkpoint, most = stage.work.subjects[role].checkpoint, stage.work.config.max_steps
    kept = [
        len(trail.steps) <= most and not too_long(checkpoint, trail, [trail.problem.answer], "")
        for trail in trails
    ]
    labelled = [
        (trail, trail.problem.answer.strip()) for trail, keep in zip(trails, kept, strict=True) if keep
    ]
    return labelled, [each for each, keep in zip(right, kept, strict=False) if keep]


def _read(
    stage: Stage,
    role: Role,
    sets: Mapping[str, tuple[Labelled, list[bool | None]]],
    own: Sequence[Trail],
    other: Sequence[Trail],
    done: Done,
) -> Probed:
    checkpoint = stage.work.subjects[role].checkpoint
    read = [*own, *other]
    fit, choose = (sets[split][0] for split in (FIT, CHOOSE))
    missed: dict[str, str] = {}
    answer = read_along(checkpoint, fit, choose, read, stage.layers)
    if answer.reason:
        missed["answers by a probe"] = answer.reason
    right = ProbeAlong([], [])
    if sets[FIT][1]:
        marks = [
            [
                (trail, RIGHT if known else WRONG)
                for (trail, _), known in zip(*sets[split], strict=True)
                if known is not None
            ]
            for split in (FIT, CHOOSE)
        ]
        right = read_along(checkpoint, marks[0], marks[1], read, stage.layers)
        if right.reason:
            missed["whether the answer will be right, by a probe"] = right.reason
    ends: dict[str, Beside] = {}
    points = [HookPoint(layer, "resid_post") for layer in stage.layers]
    for name, place in ((BEFORE, 0), (AFTER, -1)) if answer.classes else ():
        tokens = {
            split: locate_labels(
                checkpoint,
                [trail.reading for trail, _ in some],
                [[(trail.points[place], label)] for trail, label in some],
                ANSWER,
            )
            for split, some in (
                (FIT, [each for each in fit if each[1] in answer.classes]),
                (CHOOSE, choose),
                ("read", [(trail, trail.problem.answer.strip()) for trail in own]),
            )
        }
        reason = cannot_be_read(tokens, ANSWER, len(answer.classes))
        if reason is not None:
            missed[name] = reason
            continue
        seed = stage.work.config.seed
        ends[name] = read_beside(checkpoint, tokens, ANSWER, answer.classes, points, "read", seed=seed)
    done(len(own))
    return Probed(answer, right, ends, missed)


def _trajectories(
    stage: Stage, whose: Whose, by_role: Mapping[Role, Probed], reads: Mapping[Role, TrailReads]
) -> None:
    read = {role: by_probe(reads[role], found) for role, found in by_role.items() if found.answer.classes}
    trajectory_columns(stage.collected, TRACES[whose], read, stage.n, by="by a probe")
    columns: dict[tuple[str, Kind], dict[Role, ndarray]] = {}
    for role, found in by_role.items():
        trails, index = reads[role].trails, reads[role].index
        if found.right.classes:
            wrong = ~stage.right[role][index]
            for name, place in (("before the first step", 0), ("after the last step", -1)):
                p = np.array(
                    [1 - found.right.probability[k][place, _column(found)] for k in range(len(trails))]
                )
                pairs = np.full((stage.n, 2), np.nan)
                cut = stage.work.answers[role].unfinished
                pairs[index] = np.stack([p, wrong.astype(float)], -1)
                scores = spread(index, brier(p, wrong).tolist(), stage.n)
                said = f"will be wrong, by a probe {name}"
                columns.setdefault((f"{said}: area under the ROC curve", "roc"), {})[role] = without(
                    pairs, cut
                )
                columns.setdefault((f"{said}: Brier score", "bounded"), {})[role] = without(scores, cut)
    for (name, kind), values_of in columns.items():
        stage.collected.add("confidence", name, TRACES[whose], kind, values_of)


def _column(found: Probed) -> int:
    return found.right.classes.index(RIGHT)


def _ends(
    stage: Stage, whose: Whose, by_role: Mapping[Role, Probed], reads: Mapping[Role, TrailReads]
) -> None:
    for name in (BEFORE, AFTER):
        placed = {
            role: Placed(found.ends[name], reads[role].index)
            for role, found in by_role.items()
            if name in found.ends
        }
        for role, each in placed.items():
            ids = [problem.id for problem in stage.work.subjects[role].problems]
            steps = [len(trail.steps) if name == AFTER else 0 for trail in reads[role].trails]
            reading_rows(stage.collected, "confidence", name, TRACES[whose], role, each, ids, steps)
        reading_columns(stage.collected, "confidence", name, TRACES[whose], placed, stage.n)
