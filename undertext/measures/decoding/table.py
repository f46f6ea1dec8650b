"""One part of a job: a task's values read on one checkpoint, or by another checkpoint's probes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.random_init import random_init
from undertext.core.terms import CHOOSE, FIT
from undertext.jobs.probe.config import Position, ProbeConfig, ProbeKind
from undertext.measures.decoding.controls import RANDOM_SEED, Arm, arms_of
from undertext.measures.decoding.kinds import KINDS, Fitted
from undertext.measures.decoding.positions import Gathered
from undertext.measures.decoding.rows import Row
from undertext.measures.decoding.values import Places, Value, points_of, values_at

FittedOf = dict[tuple[Position, str, ProbeKind], Fitted]
"""A checkpoint's own probes, by position, value and kind."""


def read_own(
    checkpoint: Checkpoint, places: Places, config: ProbeConfig, names: tuple[str, str]
) -> tuple[list[Row], FittedOf]:
    """Fit, choose and read everything on one checkpoint, with its controls.

    `places` are `places_at`'s of the task; `names` are the checkpoint's and the task's. Raises UserError when
    no value can be read.
    """
    points = points_of(checkpoint, config)
    gathered = Gathered.of_splits(checkpoint, places, points)
    untrained = None
    if "random_init" in config.controls:
        blank = random_init(checkpoint, seed=config.seed + RANDOM_SEED)
        untrained = Gathered.of_splits(blank, places, points)
    rows: list[Row] = []
    fitted: FittedOf = {}
    for value in values_at(places, config, names[1]):
        made = _Table(names[0], names[0], names[1], config, value, points)
        X = {split: each.rows(value.position, value.name) for split, each in gathered.items()}
        arms: dict[str, list[Arm]] = {"none": [Arm(X, value.y, value.y)]} | arms_of(
            value, X, untrained, config
        )
        for kind in config.probes:
            found = {}
            for control, draws in arms.items():
                fits = [_fit(kind, value, arm, config) for arm in draws]
                if control == "none":
                    fitted[value.position, value.name, kind] = fits[0]
                found[control] = _read(fits, draws)
            for split in (s for s in places if s != FIT):
                for control, each in found.items():
                    less = found.get("control") if control == "none" else None
                    rows += made.rows(kind, control, split, each, less)
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
    gathered = Gathered.of_splits(checkpoint, places, points)
    rows: list[Row] = []
    for value in values_at(places, config, names[2]):
        made = _Table(*names, config, value, points)
        X = {split: each.rows(value.position, value.name) for split, each in gathered.items()}
        for kind in config.probes:
            own = fitted[value.position, value.name, kind]
            found = _read([own], [Arm(X, value.y, value.y)])._replace(layer=own.layer)
            for split in (s for s in places if s != FIT):
                rows += made.rows(kind, "none", split, found, None)
    return rows


def _fit(kind: ProbeKind, value: Value, arm: Arm, config: ProbeConfig) -> Fitted:
    rows, choose = (value.labelled(split, arm.X[split], arm.y[split]) for split in (FIT, CHOOSE))
    return KINDS[kind](rows, choose, config)


class _Read(NamedTuple):
    """A reading, or the mean over a control's draws."""

    accuracy: Mapping[str, Float[Tensor, " layer"]]
    """By split."""
    strength: Float[Tensor, " layer"]
    """NaN where there is none, or draws have one each."""
    layer: int
    """Index of the layer that reads dev best."""


def _read(fits: Sequence[Fitted], draws: Sequence[Arm]) -> _Read:
    def mean(split: str, held: str) -> Float[Tensor, " layer"]:
        each = [
            fit.right(arm.X[split], getattr(arm, held)[split]).double().mean(1)
            for fit, arm in zip(fits, draws, strict=True)
        ]
        return torch.stack(each).mean(0)

    strength = fits[0].strength if len(fits) == 1 else torch.full_like(fits[0].strength, torch.nan)
    accuracy = {split: mean(split, "wanted") for split in draws[0].X if split != FIT}
    return _Read(accuracy, strength, int(mean(CHOOSE, "y").argmax()))


class _Table(NamedTuple):
    """What all rows of one value share."""

    checkpoint: str
    fitted_on: str
    task: str
    config: ProbeConfig
    value: Value
    points: Sequence[HookPoint]

    def rows(self, kind: ProbeKind, control: str, split: str, found: _Read, less: _Read | None) -> list[Row]:
        """A row a layer; none where the split does not hold the value. `less` is the control's reading,
        which selectivity is over."""
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
        rows: list[Row] = []
        for i, share in enumerate(found.accuracy[split].tolist()):
            point = None if control == "surface" else self.points[i]
            strength = float(found.strength[i])
            rows.append(
                shared
                | {
                    "layer": None if point is None else point.layer,
                    "hook": None if point is None else str(point),
                    "accuracy": share,
                    "selectivity": None if less is None else share - float(less.accuracy[split][i]),
                    "strength": None if strength != strength else strength,
                    "chosen": i == found.layer,
                }
            )
        return rows
