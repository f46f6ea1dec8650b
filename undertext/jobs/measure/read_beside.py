"""Readings beside their nulls, as figures and as rows of the table `readings`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.core.terms import Role
from undertext.jobs.measure.collected import Collected
from undertext.measures.decoding.beside_nulls import CHANCE, OWN, Beside

NULLS: dict[str, str] = {
    CHANCE: "chance", "surface": "the surface", "control": "control labels", "shuffled": "shuffled labels",
    "random_init": "random init",
}  # fmt: skip
"""Every null and what figures call it."""
SURFACE = "surface"


class Placed(NamedTuple):
    """A reading, and which problem each of its texts is of."""

    beside: Beside
    problems: Sequence[int]

    def per_problem(self, source: str, problems: int) -> Float[ndarray, " problem"]:
        """The mean over each problem's rows; NaN of a problem without one."""
        out = np.full(problems, np.nan)
        out[list(self.problems)] = self.beside.per_text(source, len(self.problems))
        return out


def reading_columns(
    collected: Collected,
    measure: str,
    name: str,
    traces: str,
    by_role: Mapping[Role, Placed],
    problems: int,
) -> dict[Role, ndarray]:
    """How often a label is read right, by the surface alone too, and over every null; of each problem the
    first of these is handed back."""
    if not by_role:
        return {}
    own = {role: each.per_problem(OWN, problems) for role, each in by_role.items()}
    collected.add(measure, f"{name}: read right", traces, "bounded", own)
    surface = {role: each.per_problem(SURFACE, problems) for role, each in by_role.items()}
    collected.add(measure, f"{name}: read right by the surface alone", traces, "bounded", surface)
    for source, said in NULLS.items():
        over = {role: own[role] - each.per_problem(source, problems) for role, each in by_role.items()}
        for role in [role for role, values in over.items() if np.isnan(values).all()]:
            del over[role]
            if not np.isnan(own[role]).all():
                collected.miss(
                    measure, f"{name}: over {said}, {role}, {traces}", "this null could not be fitted"
                )
        if over:
            collected.add(measure, f"{name}: over {said}", traces, "difference", over)
    return own


def reading_rows(
    collected: Collected,
    measure: str,
    name: str,
    traces: str,
    role: Role,
    placed: Placed,
    ids: Sequence[str],
    steps: Sequence[int],
) -> None:
    """Add rows to the table `readings`; `steps` are those that the rows are of."""
    found = placed.beside
    for row, (text, label, step) in enumerate(zip(found.problem.tolist(), found.label, steps, strict=True)):
        collected.tables["readings"].append(
            {
                "problem": ids[placed.problems[text]],
                "checkpoint": role,
                "measure": measure,
                "reading": name,
                "traces": traces,
                "step": step,
                "is": label,
                "layer": found.layer,
                **{source: _number(values[row]) for source, values in found.right.items() if source != OWN},
                "right": _number(found.right[OWN][row]),
            }
        )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
