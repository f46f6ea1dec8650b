"""One part of a job: a task's values read on one checkpoint, or by another checkpoint's probes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.hookpoint import HookPoint
from activations.random_init import random_init
from probes import Surface
from undertext.evidence.readings import CHOOSE, FIT, control_targets, labels_of
from undertext.evidence.sites import MIN_ROWS, Sites, readable_names
from undertext.probing.config import Position, ProbeConfig, ProbeKind
from undertext.probing.kinds import KINDS, Fitted
from undertext.probing.places import Gathered, places_of
from undertext.probing.rows import Row
from undertext.runs import layers_of
from undertext.tasks.task import Task

CONTROL_SEED, SHUFFLE_SEED, RANDOM_SEED = 12, 13, 11
"""Added to the job's seed, so that its draws do not hang on one another."""

FittedOf = dict[tuple[Position, str, ProbeKind], Fitted]
"""A checkpoint's own probes, by position, value and kind."""


Places = Mapping[str, Mapping[Position, Sites]]
"""By split."""


class Value(NamedTuple):
    """A value at a position, as it stands in every split."""

    position: Position
    name: str
    classes: list[str]
    y: dict[str, Int[Tensor, " n"]]


def read_own(
    checkpoint: Checkpoint, places: Places, config: ProbeConfig, names: tuple[str, str]
) -> tuple[list[Row], FittedOf]:
    """Fit, choose and read everything on one checkpoint, with its controls.

    `places` are `places_at`'s of the task; `names` are the checkpoint's and the task's. Raises UserError when
    no value can be read.
    """
    points = points_of(checkpoint, config)
    gathered = {s: Gathered.capture(checkpoint, each, points) for s, each in places.items()}
    untrained = None
    if "random_init" in config.controls:
        blank = random_init(checkpoint, seed=config.seed + RANDOM_SEED)
        untrained = {s: Gathered.capture(blank, each, points) for s, each in places.items()}
    rows: list[Row] = []
    fitted: FittedOf = {}
    for value in values_at(places, config, names[1]):
        made = _Table(names[0], names[0], names[1], config, value, points)
        X = {split: each.rows(value.position, value.name) for split, each in gathered.items()}
        controls = _controls(gathered, untrained, X, value, config)
        for kind in config.probes:
            own = _fit(kind, X, value.y, config)
            fitted[value.position, value.name, kind] = own
            read_by = {c: _fit(kind, X_c, y_c, config) for c, (X_c, y_c, _) in controls.items()}
            for split in (s for s in places if s != FIT):
                share = {
                    control: read_by[control].right(X_c[split], target[split]).double().mean(1)
                    for control, (X_c, _, target) in controls.items()
                }
                accuracy = own.right(X[split], value.y[split]).double().mean(1)
                selectivity = accuracy - share["control"] if "control" in share else None
                rows += made.rows(kind, "none", split, own, accuracy, selectivity)
                for control, of in share.items():
                    rows += made.rows(kind, control, split, read_by[control], of, None)
    return rows, fitted


def read_transported(
    checkpoint: Checkpoint,
    fitted: FittedOf,
    places: Places,
    config: ProbeConfig,
    names: tuple[str, str, str],
) -> list[Row]:
    """Read one checkpoint by the probes fitted on another; `names`: read on, fitted on, and the task's."""
    points = points_of(checkpoint, config)
    gathered = {s: Gathered.capture(checkpoint, each, points) for s, each in places.items()}
    rows: list[Row] = []
    for value in values_at(places, config, names[2]):
        made = _Table(*names, config, value, points)
        for kind in config.probes:
            own = fitted[value.position, value.name, kind]
            for split in (s for s in places if s != FIT):
                X = gathered[split].rows(value.position, value.name)
                accuracy = own.right(X, value.y[split]).double().mean(1)
                rows += made.rows(kind, "none", split, own, accuracy, None)
    return rows


def points_of(checkpoint: Checkpoint, config: ProbeConfig) -> list[HookPoint]:
    """Where a checkpoint is read."""
    return [
        HookPoint(layer, config.site) for layer in layers_of(checkpoint, config.layers, config.max_layers)
    ]


def splits_of(task: Task, config: ProbeConfig) -> list[str]:
    """Train, dev and the splits to report; UserError for one the task lacks."""
    wanted = task.splits if config.splits is None else config.splits
    for split in wanted:
        task.split(split)
    return list(dict.fromkeys([FIT, CHOOSE, *wanted]))


def places_at(checkpoint: Checkpoint, task: Task, config: ProbeConfig) -> Places:
    """Every site of a job in one task; UserError for a split the task lacks."""
    positions = list(dict.fromkeys(config.positions))
    return {split: places_of(checkpoint, task.split(split), positions) for split in splits_of(task, config)}


def values_at(places: Places, config: ProbeConfig, task: str) -> list[Value]:
    """What can be fitted on train and chosen on dev; splits that do not hold a value go without it.

    `task` is its name. Raises UserError when nothing can be read.
    """
    found = []
    for position, fitting in places[FIT].items():
        on_dev = set(places[CHOOSE][position].name)
        for name, classes in readable_names(fitting, config.max_classes).items():
            if name in on_dev:
                sites = {split: each[position] for split, each in places.items()}
                y = {split: labels_of(each, each.rows(name), classes) for split, each in sites.items()}
                found.append(Value(position, name, classes, y))
    if not found:
        raise UserError(
            f"task {task}: no value can be read at {', '.join(map(str, config.positions))}: each needs 2 to "
            f"{config.max_classes} classes, {MIN_ROWS} problems of train that hold it, and some of dev"
        )
    return found


Targets = tuple[Mapping[str, Tensor], Mapping[str, Tensor], Mapping[str, Tensor]]
"""By split: what a control is read from, what it is fitted to, and what it is held against."""


def _controls(
    gathered: Mapping[str, Gathered],
    untrained: Mapping[str, Gathered] | None,
    X: Mapping[str, Tensor],
    value: Value,
    config: ProbeConfig,
) -> dict[str, Targets]:
    windows = {}
    for split, each in gathered.items():
        sites = each.places[value.position]
        windows[split] = [sites.window(int(row)) for row in sites.rows(value.name)]
    found: dict[str, Targets] = {}
    for control in dict.fromkeys(config.controls):
        if control == "control":
            seed = config.seed + CONTROL_SEED
            drawn = control_targets(windows, value.y[FIT], len(value.classes), seed=seed)
            found[control] = (X, drawn, drawn)
        elif control == "shuffled":
            draw = torch.Generator().manual_seed(config.seed + SHUFFLE_SEED)
            mixed = {s: value.y[s][torch.randperm(len(value.y[s]), generator=draw)] for s in (FIT, CHOOSE)}
            found[control] = (X, mixed, value.y)
        elif control == "surface":
            surface = Surface(windows[FIT])
            shown = {split: surface.features(each)[None] for split, each in windows.items()}
            found[control] = (shown, value.y, value.y)
        elif untrained is not None:
            blank = {split: each.rows(value.position, value.name) for split, each in untrained.items()}
            found[control] = (blank, value.y, value.y)
    return found


def _fit(kind: ProbeKind, X: Mapping[str, Tensor], y: Mapping[str, Tensor], config: ProbeConfig) -> Fitted:
    return KINDS[kind](X[FIT], y[FIT], X[CHOOSE], y[CHOOSE], config.strengths)


class _Table(NamedTuple):
    """What all rows of one value share."""

    checkpoint: str
    fitted_on: str
    task: str
    config: ProbeConfig
    value: Value
    points: Sequence[HookPoint]

    def rows(
        self,
        kind: ProbeKind,
        control: str,
        split: str,
        fitted: Fitted,
        accuracy: Tensor,
        selectivity: Tensor | None,
    ) -> list[Row]:
        """A row a layer; none where the split does not hold the value."""
        y = self.value.y[split]
        if not len(y):
            return []
        commonest = int(self.value.y[FIT].bincount().argmax())
        shared: dict[str, Any] = {
            "checkpoint": self.checkpoint,
            "fitted_on": self.fitted_on,
            "task": self.task,
            "split": split,
            "value": self.value.name,
            "classes": len(self.value.classes),
            "position": str(self.value.position),
            "probe": kind,
            "control": control,
            "n": len(y),
            "baseline": float((y == commonest).double().mean()),
            "seed": self.config.seed,
        }
        found: list[Row] = []
        for i, share in enumerate(accuracy.tolist()):
            point = None if control == "surface" else self.points[i]
            strength = float(fitted.strength[i])
            found.append(
                shared
                | {
                    "layer": None if point is None else point.layer,
                    "hook": None if point is None else str(point),
                    "accuracy": share,
                    "selectivity": None if selectivity is None else float(selectivity[i]),
                    "strength": None if strength != strength else strength,
                    "chosen": i == fitted.layer,
                }
            )
        return found
