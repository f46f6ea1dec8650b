"""The table of a probing job: a task's values read on one checkpoint, or by another checkpoint's probes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.random_init import random_init_instead
from undertext.core.terms import FIT
from undertext.measures.decoding.config import DecodingConfig, Position, ProbeKind
from undertext.measures.decoding.controls import RANDOM_SEED, Arm, arms_of
from undertext.measures.decoding.extras import description_length, erased_accuracy
from undertext.measures.decoding.kinds import Fitted
from undertext.measures.decoding.positions import Gathered, Located
from undertext.measures.decoding.readings import Reading, read_arm
from undertext.measures.decoding.values import Value, points_of, values_of

PROBES = pa.schema(
    [
        ("checkpoint", pa.string()),
        ("fitted_on", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("value", pa.string()),
        ("classes", pa.int64()),
        ("layer", pa.int64()),
        ("hook", pa.string()),
        ("position", pa.string()),
        ("probe", pa.string()),
        ("control", pa.string()),
        ("n", pa.int64()),
        ("accuracy", pa.float64()),
        ("selectivity", pa.float64()),
        ("baseline", pa.float64()),
        ("strength", pa.float64()),
        ("chosen", pa.bool_()),
        ("mdl", pa.float64()),
        ("erased", pa.float64()),
        ("seed", pa.int64()),
    ]
)
"""Columns of the table `probes`; docs/probes.md says what each column holds."""

Row = dict[str, Any]
FittedProbes = dict[tuple[Position, str, ProbeKind], Fitted]
"""A checkpoint's own probes, by position, value and kind."""


def table_of(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """The rows as a table; a KeyError for a row that lacks a column."""
    return pa.table({name: [row[name] for row in rows] for name in schema.names}, schema=schema)


def read_own(
    checkpoint: Checkpoint,
    located: Located,
    config: DecodingConfig,
    names: tuple[str, str],
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[list[Row], FittedProbes]:
    """Fit, choose and read everything on one checkpoint, with its controls.

    `located` are `locate`'s tokens of the task; `names` are the checkpoint's and the task's; `progress` is
    called with how many values have been read since its last call. Raises UserError when no value can be
    read.
    """
    points = points_of(checkpoint, config)
    gathered = Gathered.of_splits(checkpoint, located, points)
    untrained = None
    if "random_init" in config.controls:
        with random_init_instead(checkpoint, seed=config.seed + RANDOM_SEED) as nothing:
            untrained = Gathered.of_splits(nothing, located, points)
    rows: list[Row] = []
    fitted: FittedProbes = {}
    for value in values_of(located, config, names[1]):
        table = _Table(names[0], names[0], names[1], config, value, points)
        X = {split: each.rows(value.position, value.name) for split, each in gathered.items()}
        arms = arms_of(value, checkpoint, X, untrained, config)
        for kind in dict.fromkeys(config.probes):
            readings = {
                control: [read_arm(kind, value, arm, config) for arm in draws]
                for control, draws in arms.items()
            }
            fitted[value.position, value.name, kind] = readings["none"][0].probe
            figures = {control: _mean(draws) for control, draws in readings.items()}
            for control, draws in arms.items():
                # Of alternatives, that which was chosen.
                arm = [
                    each.only(reading.alternative) if each.alternatives else each
                    for each, reading in zip(draws, readings[control], strict=True)
                ]
                figures[control] = figures[control]._replace(**_extras(kind, control, value, arm, config))
            for split in (s for s in located if s != FIT):
                for control, each in figures.items():
                    less = figures.get("control") if control == "none" else None
                    rows += table.rows(kind, control, split, each, less)
        progress(1)
    return rows, fitted


def read_transported(
    checkpoint: Checkpoint,
    fitted: FittedProbes,
    located: Located,
    config: DecodingConfig,
    names: tuple[str, str, str],
) -> list[Row]:
    """Read one checkpoint by the probes fitted on another; `names`: read on, fitted on, and the task's."""
    points = points_of(checkpoint, config)
    gathered = Gathered.of_splits(checkpoint, located, points)
    rows: list[Row] = []
    for value in values_of(located, config, names[2]):
        table = _Table(*names, config, value, points)
        for kind in dict.fromkeys(config.probes):
            probe = fitted[value.position, value.name, kind]
            accuracy = {
                split: probe.right(each.rows(value.position, value.name), value.y[split]).double().mean(1)
                for split, each in gathered.items()
            }
            for split in (s for s in located if s != FIT):
                rows += table.rows(kind, "none", split, _Figures(accuracy, probe.strength, probe.layer), None)
    return rows


class _Figures(NamedTuple):
    """A reading, or the mean over a control's draws."""

    accuracy: Mapping[str, Float[Tensor, " layer"]]
    """By split."""
    strength: Float[Tensor, " layer"]
    """NaN where there is none, or draws have one each."""
    layer: int
    """Index of the layer that reads dev best."""
    mdl: Float[Tensor, " layer"] | None = None
    erased: Mapping[str, Float[Tensor, " layer"]] | None = None
    """By split."""


def _mean(draws: Sequence[Reading]) -> _Figures:
    accuracy = {
        split: torch.stack([draw.right[split].double().mean(1) for draw in draws]).mean(0)
        for split in draws[0].right
    }
    strength = draws[0].probe.strength
    strength = strength if len(draws) == 1 else torch.full_like(strength, torch.nan)
    return _Figures(accuracy, strength, int(torch.stack([draw.on_dev for draw in draws]).mean(0).argmax()))


def _extras(
    kind: ProbeKind, control: str, value: Value, draws: Sequence[Arm], config: DecodingConfig
) -> dict[str, Any]:
    """The figures of `config.measures`: mdl of logistic probes alone, erasure of the value alone."""
    extras: dict[str, Any] = {}
    if "mdl" in config.measures and kind == "logistic":
        lengths = [description_length(value, arm, config) for arm in draws]
        extras["mdl"] = torch.stack(lengths).mean(0)
    if "leace" in config.measures and control == "none":
        extras["erased"] = erased_accuracy(kind, value, draws[0], config)
    return extras


class _Table(NamedTuple):
    """What all rows of one value share."""

    checkpoint: str
    fitted_on: str
    task: str
    config: DecodingConfig
    value: Value
    points: Sequence[HookPoint]

    def rows(
        self, kind: ProbeKind, control: str, split: str, figures: _Figures, less: _Figures | None
    ) -> list[Row]:
        """A row a layer; none where the split does not hold the value. `less` is the control's reading,
        which selectivity is over."""
        y = self.value.y[split]
        if not len(y):
            return []
        commonest = int(self.value.y[FIT].bincount().argmax())
        shared: Row = {
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
        for i, share in enumerate(figures.accuracy[split].tolist()):
            point = None if control in ("surface", "window") else self.points[i]
            erased = None if figures.erased is None else float(figures.erased[split][i])
            rows.append(
                shared
                | {
                    "layer": None if point is None else point.layer,
                    "hook": None if point is None else str(point),
                    "accuracy": share,
                    "selectivity": None if less is None else share - float(less.accuracy[split][i]),
                    "strength": _number(figures.strength[i]),
                    "chosen": i == figures.layer,
                    "mdl": None if figures.mdl is None else float(figures.mdl[i]),
                    "erased": erased,
                }
            )
        return rows


def _number(value: Tensor) -> float | None:
    """None for NaN."""
    return None if value.isnan() else float(value)
