"""Rows by what their problem is: how many steps it has, of which type it is."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from undertext.core.terms import CHOOSE, FIT
from undertext.measures.decoding.config import DecodingConfig, ProbeKind
from undertext.measures.decoding.controls import Arm, surface_arm
from undertext.measures.decoding.kinds import Fitted
from undertext.measures.decoding.readings import fit_arm
from undertext.measures.decoding.table import Row
from undertext.measures.decoding.transfer import Entries, share
from undertext.measures.decoding.values import Value
from undertext.tasks.task import Task
from undertext.tasks.value_tokens import MIN_ROWS

By = Literal["length", "type"]
BY: tuple[By, ...] = ("length", "type")
ALL, OTHERS = "all", "others"
MIN_PROBLEMS = 10
"""Fewest problems of train that a probe of some groups is fitted to."""

Groups = Mapping[By, Mapping[str, list[str | None]]]
"""By split: the group of each problem."""


def groups_of(task: Task, splits: Sequence[str]) -> Groups:
    """Every problem's number of steps, and its type; None where it has none."""
    problems = {split: task.split(split) for split in splits}
    return {
        "length": {s: [str(len(p.steps)) if p.steps else None for p in each] for s, each in problems.items()},
        "type": {s: [p.type for p in each] for s, each in problems.items()},
    }


class _Fit(NamedTuple):
    label: str
    """What it was fitted to."""
    probe: Fitted
    only: str | None
    """The group it is to be read on; None for all."""


def read_groups(
    by: By,
    value: Value,
    X: Mapping[str, Tensor],
    kind: ProbeKind,
    own: Fitted,
    groups: Groups,
    layers: Sequence[int],
    entries: Entries,
    config: DecodingConfig,
) -> list[Row]:
    """Probes fitted to some groups of problems, read on each, beside such of the surface.

    `own` is fitted to all. By length there is a probe for each length; by type, one for all types but the one
    that is read. Nothing where problems are of one group.
    """
    group = {
        split: [groups[by][split][i] for i in problem.tolist()] for split, problem in value.problem.items()
    }
    names = sorted({name for each in group.values() for name in each if name is not None})
    if len(names) < 2:
        return []
    rows: list[Row] = []
    surface = surface_arm(value)
    of_surface = fit_arm(kind, value, surface, config)
    for measure, arm, whole, at in (
        ("accuracy", Arm(X, value.y, value.y), own, layers),
        ("surface", surface, of_surface, [None]),
    ):
        for fit in [_Fit(ALL, whole, None), *_partial(by, kind, value, arm, group, names, config)]:
            for split in (s for s in X if s != FIT):
                right = fit.probe.right(arm.X[split], value.y[split])
                for name in names if fit.only is None else [fit.only]:
                    in_group = torch.tensor([each == name for each in group[split]], dtype=torch.bool)
                    n = int(in_group.sum())
                    rows += entries.layers(fit.label, name, measure, split, share(right[:, in_group]), n, at)
    return rows


def _partial(
    by: By,
    kind: ProbeKind,
    value: Value,
    arm: Arm,
    group: Mapping[str, list[str | None]],
    names: Sequence[str],
    config: DecodingConfig,
) -> list[_Fit]:
    fits = []
    for name in names:
        keep = rows_of(by, group, name)
        if enough_rows(value, keep):
            probe = fit_arm(kind, value, arm, config, keep)
            fits.append(_Fit(name, probe, None) if by == "length" else _Fit(OTHERS, probe, name))
    return fits


def rows_of(by: By, group: Mapping[str, list[str | None]], name: str) -> dict[str, Bool[Tensor, " n"]]:
    """By split, the rows that a probe of this group is fitted to: by length its own, by type all others."""
    return {
        split: torch.tensor(
            [each is not None and (each == name) == (by == "length") for each in of], dtype=torch.bool
        )
        for split, of in group.items()
    }


def enough_rows(value: Value, keep: Mapping[str, Bool[Tensor, " n"]]) -> bool:
    """Whether a probe can be fitted to these rows, and its strength chosen."""
    y, problems = value.y[FIT][keep[FIT]], value.problem[FIT][keep[FIT]]
    several = len(y.unique()) > 1 and len(problems.unique()) >= MIN_PROBLEMS
    return len(y) >= MIN_ROWS and several and bool(keep[CHOOSE].any())
