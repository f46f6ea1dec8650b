"""Confidence along traces, in the right answer and in the one finally given: figures, and rows of a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.core.terms import Role
from undertext.jobs.measure.collected import Collected, Row, TrailReads, spread
from undertext.jobs.measure.figures_of import Kind
from undertext.jobs.measure.parts import Probed
from undertext.measures.trace.confidence import EARLY, Trajectory, accuracy_gap, early_and_late, trajectory

Answer = Literal["given", "right"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
SETTLES: dict[Answer, str] = {"given": "settles on its answer", "right": "settles on it"}
FIELDS = ("commitment", "monotonicity", "area")
Moved = Sequence[Trajectory | None]
"""By trace; None where an answer was not read, or there is no step."""


@dataclass(frozen=True, eq=False)
class Trajectories:
    """How one checkpoint's confidence moves along its traces."""

    index: Sequence[int]
    """Index of each trace's problem."""
    of: Mapping[Answer, Moved]


def by_answers(reads: TrailReads) -> Trajectories:
    """From the answers' probabilities."""
    return Trajectories(
        reads.index,
        {
            "given": _moved(None if each is None else each.probability for each in reads.given),
            "right": _moved(each.probability for each in reads.right),
        },
    )


def by_probe(reads: TrailReads, found: Probed) -> Trajectories:
    """From what a probe reads at the ends of the steps."""
    trails = list(enumerate(reads.trails))
    return Trajectories(
        reads.index,
        {
            "given": _moved(found.answer.of(k, trail.answer) for k, trail in trails),
            "right": _moved(found.answer.of(k, trail.problem.answer) for k, trail in trails),
        },
    )


def _moved(probabilities: Iterable[Float[ndarray, " point"] | None]) -> list[Trajectory | None]:
    found = [None if p is None else trajectory(p) for p in probabilities]
    return [None if each is None or each.area is None else each for each in found]


def trajectory_columns(
    collected: Collected, traces: str, by_role: Mapping[Role, Trajectories], problems: int, by: str = ""
) -> dict[Answer, dict[Role, ndarray]]:
    """Commitment, monotonicity and area over the curve of both answers; names say `by` what they were read.

    Hands back the commitment points of each problem.
    """
    points: dict[Answer, dict[Role, ndarray]] = {}
    for answer in ANSWERS:
        named: dict[tuple[str, Kind], dict[Role, ndarray]] = {}
        for role, found in by_role.items():
            each = found.of[answer]
            settled = [None if t is None else float(t.commitment is not None) for t in each]
            figures: tuple[tuple[str, Kind, Sequence[float | None]], ...] = (
                (SETTLES[answer], "share", settled),
                ("commitment point", "bounded", [None if t is None else t.commitment for t in each]),
                ("monotonicity", "bounded", [None if t is None else t.monotonicity for t in each]),
                ("area over the curve", "bounded", [None if t is None else t.area for t in each]),
            )
            for name, kind, values in figures:
                named.setdefault((name, kind), {})[role] = spread(found.index, values, problems)
        for (name, kind), columns in named.items():
            collected.add("confidence", _name(answer, name, by), traces, kind, columns)
        points[answer] = named.get(("commitment point", "bounded"), {})
    return points


def early_columns(
    collected: Collected,
    traces: str,
    points: Mapping[Answer, Mapping[Role, ndarray]],
    right: Mapping[Role, ndarray] | None,
) -> None:
    """Early commitment, and the accuracy of those that commit later less that of those that commit early.

    `right` says of each problem whether the trace's own answer is right; None where the checkpoint has not
    written these traces: its answers come from others.
    """
    for answer in ANSWERS:
        early = {
            role: np.where(np.isnan(each), np.nan, each <= EARLY) for role, each in points[answer].items()
        }
        collected.add("confidence", _name(answer, "settles early"), traces, "share", early)
    if right is not None:
        gaps = {role: early_and_late(each, right[role]) for role, each in points["given"].items()}
        name = "accuracy of later less early ones"
        collected.add("confidence", name, traces, "statistic", gaps, statistic=accuracy_gap)


def _name(answer: Answer, name: str, by: str = "") -> str:
    said = ", ".join(filter(None, ("right answer" if answer == "right" else "", by)))
    return f"{said}: {name}" if said else name


def confidence_rows(role: Role, traces: str, reads: TrailReads, probed: Probed | None) -> list[Row]:
    """Rows of the table `confidence`."""
    found: dict[str, Moved] = {str(answer): moved for answer, moved in by_answers(reads).of.items()}
    if probed is not None:
        found |= {f"probe_{answer}": moved for answer, moved in by_probe(reads, probed).of.items()}
    return [
        {
            "problem": trail.problem.id,
            "checkpoint": role,
            "traces": traces,
            "steps": len(trail.steps),
            **{
                f"{answer}_{name}": None if (own := moved[k]) is None else getattr(own, name)
                for answer, moved in found.items()
                for name in FIELDS
            },
        }
        for k, trail in enumerate(reads.trails)
    ]
