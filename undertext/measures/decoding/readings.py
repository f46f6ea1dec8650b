"""A probe beside its controls: fitted on train, strength and layer chosen on dev, read on every split.

The control arms go through the same search. The probing job and the comparison both read in this way.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.random_init import random_init_instead
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.decoding.config import DecodingConfig, ProbeKind
from undertext.measures.decoding.controls import (
    CONTROL_SEED,
    RANDOM_SEED,
    Arm,
    control_arms,
    surface_arm,
    window_arm,
)
from undertext.measures.decoding.kinds import KINDS, Fitted
from undertext.measures.decoding.values import Value
from undertext.tasks.task import Task
from undertext.tasks.value_positions import steps_read
from undertext.tasks.value_tokens import ValueTokens, in_groups, locate_values, readable_values, unread_values

NULLS = ("control", "surface", "window", "random_init")
"""The controls that a comparison reads beside both checkpoints."""
CHECKPOINTS = ("weaker", "stronger")
"""The sources that are checkpoints, each read by its own probe."""


class Reading(NamedTuple):
    """One arm, read."""

    probe: Fitted
    right: Mapping[str, Bool[Tensor, "layer n"]]
    """Whether each row of each split is read as is wanted of the arm, at each layer."""
    on_dev: Float[Tensor, " layer"]
    """Share of dev's rows read as the labels say that strength and layer are chosen by."""
    alternative: int = 0
    """Which of an arm's alternatives was chosen."""


def fit_arm(
    kind: ProbeKind,
    value: Value,
    arm: Arm,
    config: DecodingConfig,
    keep: Mapping[str, Bool[Tensor, " n"]] | None = None,
) -> Fitted:
    """Fit a probe to the arm's train, or to some of its rows; strength and layer are chosen on dev's."""
    rows, choose = (value.labelled(split, arm.X[split], arm.y[split]) for split in (FIT, CHOOSE))
    if keep is not None:
        rows, choose = rows.take(keep[FIT]), choose.take(keep[CHOOSE])
    return KINDS[kind](rows, choose, config)


def read_arm(kind: ProbeKind, value: Value, arm: Arm, config: DecodingConfig) -> Reading:
    """Fit a probe to the arm's train, choose its strength and layer on the arm's dev, read every split."""
    choose = value.labelled(CHOOSE, arm.X[CHOOSE], arm.y[CHOOSE])
    probe, alternative = fit_arm(kind, value, arm, config), 0
    if arm.alternatives:
        alternative = probe.layer
        arm, probe = arm.only(alternative), probe.only(alternative)
    right = {split: probe.right(X, arm.wanted[split]) for split, X in arm.X.items()}
    on_dev = probe.right(arm.X[CHOOSE], choose.y).double().mean(1)
    return Reading(probe, right, on_dev, alternative)


@dataclass
class Readings:
    """Probes of every readable value on the weaker and the stronger checkpoint and on the nulls."""

    sites: Mapping[str, ValueTokens]
    """By split: the tokens at which values are read, where each is about to be said."""
    classes: Mapping[str, list[str]]
    """By name of the value."""
    steps: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """By split: the number of the step of each row of `sites`, 0 at the end of the prompt. Empty where what
    is read is no value of the task."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """By name: why a value was not read."""
    grouped: Mapping[str, int] = field(default_factory=dict)
    """By name: in how many groups of size a number of many values was read."""
    right: dict[tuple[str, str], dict[str, Bool[Tensor, "layer n"]]] = field(default_factory=dict)
    """(name, split) -> source -> whether each row is read right at each layer. Sources: `weaker`,
    `stronger`, `transported` and the nulls."""
    chosen: dict[tuple[str, str], int] = field(default_factory=dict)
    """(name, source) -> index of the layer chosen on dev."""
    strength: dict[tuple[str, str], Float[Tensor, " layer"]] = field(default_factory=dict)
    probes: dict[tuple[str, str], Fitted] = field(default_factory=dict)
    """(name, source) -> the probe at the layer chosen on dev, of that layer alone; of `weaker` and
    `stronger`."""

    def at_chosen(self, name: str, split: str, source: str) -> Bool[Tensor, " n"]:
        """Whether each row is read right at the layer chosen on dev."""
        return self.right[name, split][source][self.chosen[name, source]]

    def accuracy(self, name: str, split: str, source: str) -> float:
        """Share of rows read right at the layer chosen on dev."""
        return float(self.at_chosen(name, split, source).double().mean())

    def per_problem(self, names: Sequence[str], split: str, source: Callable[[str], str]) -> dict[int, float]:
        """Problem -> share of its rows, over these values, that are read right; `source` is by name."""
        total: dict[int, list[bool]] = {}
        for name in names:
            rows = self.sites[split].rows(name)
            for problem, right in zip(
                self.sites[split].problem[rows].tolist(),
                self.at_chosen(name, split, source(name)).tolist(),
                strict=True,
            ):
                total.setdefault(problem, []).append(right)
        return {problem: float(np.mean(rows)) for problem, rows in total.items()}

    def record(self, name: str, source: str, probe: Fitted, right: Mapping[str, Tensor]) -> None:
        """Add what a source's probe reads."""
        self.chosen[name, source] = probe.layer
        self.strength[name, source] = probe.strength
        if source in CHECKPOINTS:
            one = probe.only(probe.layer)
            # A copy: a view would keep every layer's weights in memory.
            self.probes[name, source] = one._replace(coef=one.coef.clone(), intercept=one.intercept.clone())
        for split, rows in right.items():
            self.right.setdefault((name, split), {})[source] = rows


def measure_own(
    weaker: Checkpoint,
    task: Task,
    splits: Sequence[str],
    points: Sequence[HookPoint],
    *,
    max_classes: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Readings:
    """Read every value on the weaker checkpoint and on every null, where the value is about to be said.

    No stronger checkpoint has a part in it (`measure_other` adds one).
    """
    wanted = list(dict.fromkeys([FIT, CHOOSE, *splits]))
    located = {split: locate_values(weaker, task.split(split)) for split in wanted}
    steps = {split: steps_read(task.split(split)) for split in wanted}
    sites, grouped = in_groups(located, max_classes)
    on_dev = set(sites[CHOOSE].name)
    readable, unread = readable_values(sites[FIT], max_classes), unread_values(sites[FIT], max_classes)
    for name in readable.keys() - on_dev:
        unread[name] = "dev has it nowhere, and layers are chosen there"
    read = {name: labels for name, labels in readable.items() if name in on_dev}
    out = Readings(sites, read, steps, unread, grouped)
    if not out.classes:
        return out
    stacks = {"weaker": stack_of(weaker, sites, points)}
    with random_init_instead(weaker, seed=seed + RANDOM_SEED) as nothing:
        stacks["random_init"] = stack_of(nothing, sites, points)
    for name, classes in out.classes.items():
        y = Value.of(sites, 0, name, classes).y
        read_own(out, name, weaker, stacks, y, seed)
        if progress is not None:
            progress(1)
    return out


def measure_other(
    own: Readings,
    weaker: Checkpoint,
    stronger: Checkpoint,
    points: Sequence[HookPoint],
    *,
    seed: int,
    of_stronger: Task | None = None,
    shared_tokens: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Readings:
    """The weaker's own readings (`measure_own`), with those of the stronger and `transported` added.

    `of_stronger` is the task as the stronger reads it, where that is another: then its rows are the same
    values in its own tokens. Without `shared_tokens` there is no `transported`.
    """
    if not own.classes:
        return own
    sites = theirs = own.sites
    if of_stronger is not None:
        theirs = {split: locate_values(stronger, of_stronger.split(split)) for split in sites}
    stacks = {"stronger": stack_of(stronger, theirs, points)}
    if shared_tokens:
        stacks["weaker"] = stack_of(weaker, sites, points)
    for name, classes in own.classes.items():
        y = Value.of(sites, 0, name, classes).y
        read_other(own, name, stacks, y, y, seed)
        if progress is not None:
            progress(1)
    return own


Stack = Mapping[str, Tensor]
"""Split -> activations [layer, row, d_model]."""


def stack_of(checkpoint: Checkpoint, sites: Mapping[str, ValueTokens], points: Sequence[HookPoint]) -> Stack:
    """Activations of one checkpoint at every row."""
    return {split: tokens.activations(checkpoint, points) for split, tokens in sites.items()}


def read_own(
    out: Readings,
    name: str,
    weaker: Checkpoint,
    stacks: Mapping[str, Stack],
    y: Mapping[str, Tensor],
    seed: int,
) -> None:
    """Fit, choose and read one value on the weaker checkpoint and on every null, into `out`.

    `stacks` are those of the weaker and of its architecture at random init, `y` the labels a split.
    """
    value = Value.of(out.sites, 0, name, out.classes[name])._replace(y=dict(y))
    X = _rows(out, name, stacks, y)
    arms = {
        "weaker": Arm(X["weaker"], y, y),
        "random_init": Arm(X["random_init"], y, y),
        "surface": surface_arm(value),
        "window": window_arm(value, weaker),
        "control": control_arms(value, X["weaker"], [seed + CONTROL_SEED])[0],
    }
    for source, arm in arms.items():
        reading = read_arm("logistic", value, arm, DecodingConfig(seed=seed))
        out.record(name, source, reading.probe, reading.right)


def read_other(
    out: Readings,
    name: str,
    stacks: Mapping[str, Stack],
    y: Mapping[str, Tensor],
    y_stronger: Mapping[str, Tensor],
    seed: int,
) -> None:
    """Fit, choose and read one value on the stronger checkpoint, into `out`; and `transported`, with a stack
    of the weaker.

    `y_stronger` are the labels that the stronger's own probe is fitted to and read against, which differ from
    `y` only where the label is about the checkpoint itself.
    """
    value = Value.of(out.sites, 0, name, out.classes[name])._replace(y=dict(y))
    X = _rows(out, name, stacks, y)
    arm = Arm(X["stronger"], y_stronger, y_stronger)
    reading = read_arm("logistic", value, arm, DecodingConfig(seed=seed))
    out.record(name, "stronger", reading.probe, reading.right)
    if "weaker" in X:
        moved = {split: reading.probe.right(X["weaker"][split], y[split]) for split in y}
        out.record(name, "transported", reading.probe, moved)


def _rows(
    out: Readings, name: str, stacks: Mapping[str, Stack], splits: Iterable[str]
) -> dict[str, dict[str, Tensor]]:
    return {
        source: {split: stack[split][:, out.sites[split].rows(name)] for split in splits}
        for source, stack in stacks.items()
    }
