"""What can be read off the two checkpoints, and off what knows nothing: probes of every value and null."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from activations.checkpoint import Checkpoint
from activations.hookpoint import HookPoint
from activations.random_init import random_init
from probes import Reading, Surface, read
from undertext.config import CompareConfig
from undertext.evidence.control_keys import control_targets
from undertext.evidence.sites import CHOOSE, FIT, Sites, readable_names, sites_of
from undertext.tasks.task import Task

NULLS = ("control", "surface", "random_init")


@dataclass
class Readings:
    """Probes of every readable value on the weaker and the stronger checkpoint and on the nulls."""

    sites: Mapping[str, Sites]
    classes: Mapping[str, list[str]]
    """By name of the value."""
    right: dict[tuple[str, str], dict[str, Bool[Tensor, "layer n"]]] = field(default_factory=dict)
    """(name, split) -> source -> whether each row is read right at each layer. Sources: `weaker`,
    `stronger`, `transported` and the nulls."""
    chosen: dict[tuple[str, str], int] = field(default_factory=dict)
    """(name, source) -> index of the layer chosen on dev."""
    strength: dict[tuple[str, str], Float[Tensor, " layer"]] = field(default_factory=dict)

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
            for problem, ok in zip(
                self.sites[split].problem[rows].tolist(),
                self.at_chosen(name, split, source(name)).tolist(),
                strict=True,
            ):
                total.setdefault(problem, []).append(ok)
        return {problem: float(np.mean(each)) for problem, each in total.items()}


def measure_readings(
    weaker: Checkpoint,
    stronger: Checkpoint,
    task: Task,
    splits: Sequence[str],
    points: Sequence[HookPoint],
    config: CompareConfig,
    progress: Callable[[int], None] | None = None,
) -> Readings:
    """Fit probes on train, choose layer and strength on dev, read every split; the same for each null."""
    wanted = list(dict.fromkeys([FIT, CHOOSE, *splits]))
    sites = {split: sites_of(weaker, task.split(split)) for split in wanted}
    on_dev = set(sites[CHOOSE].name)  # without these no layer could be chosen
    classes_of = readable_names(sites[FIT], config.max_classes)
    out = Readings(sites, {name: classes for name, classes in classes_of.items() if name in on_dev})
    if not out.classes:
        return out
    stacks = stacks_of(weaker, stronger, sites, points, config)
    for name, classes in out.classes.items():
        rows = {split: sites[split].rows(name) for split in wanted}
        y = {split: labels_of(sites[split], rows[split], classes) for split in wanted}
        read_value(out, name, stacks, y, y, config)
        if progress is not None:
            progress(1)
    return out


Stacks = Mapping[str, Mapping[str, Tensor]]
"""Source -> split -> activations [layer, row, d_model]."""


def stacks_of(
    weaker: Checkpoint,
    stronger: Checkpoint,
    sites: Mapping[str, Sites],
    points: Sequence[HookPoint],
    config: CompareConfig,
) -> Stacks:
    """Activations at every site of both checkpoints, and of the architecture at random init."""
    sources = {
        "weaker": weaker,
        "stronger": stronger,
        "random_init": random_init(weaker, seed=config.seed + 11),
    }
    return {
        source: {split: each.activations(checkpoint, points) for split, each in sites.items()}
        for source, checkpoint in sources.items()
    }


def read_value(
    out: Readings,
    name: str,
    stacks: Stacks,
    y: Mapping[str, Tensor],
    y_stronger: Mapping[str, Tensor],
    config: CompareConfig,
) -> None:
    """Fit, choose and read one value on every source and null, into `out`.

    `y` are the labels a split; `y_stronger` those that the stronger checkpoint's own probe is fitted to
    and read against, which differ only where the label is about the checkpoint itself.
    """
    splits = list(y)
    rows = {split: out.sites[split].rows(name) for split in splits}
    X = {
        source: {split: stack[split][:, rows[split]] for split in splits} for source, stack in stacks.items()
    }
    _keep(out, name, "weaker", X["weaker"], y)
    strong = _keep(out, name, "stronger", X["stronger"], y_stronger)
    _keep(out, name, "random_init", X["random_init"], y)
    _record(out, name, "transported", strong, X["weaker"], y)
    windows = {split: [out.sites[split].window(int(row)) for row in rows[split]] for split in splits}
    surface = Surface(windows[FIT])
    _keep(out, name, "surface", {split: surface.features(windows[split])[None] for split in splits}, y)
    (drawn,) = control_targets(windows, y[FIT], len(out.classes[name]), seeds=[config.seed + 12])
    _keep(out, name, "control", X["weaker"], drawn)


def _keep(out: Readings, name: str, source: str, X: Mapping[str, Tensor], y: Mapping[str, Tensor]) -> Reading:
    fitted = read(X[FIT], y[FIT], X[CHOOSE], y[CHOOSE])
    _record(out, name, source, fitted, X, y)
    return fitted


def _record(
    out: Readings, name: str, source: str, fitted: Reading, X: Mapping[str, Tensor], y: Mapping[str, Tensor]
) -> None:
    out.chosen[name, source] = fitted.layer
    out.strength[name, source] = fitted.strengths
    for split in X:
        out.right.setdefault((name, split), {})[source] = fitted.correct(X[split], y[split])


def labels_of(sites: Sites, rows: Int[Tensor, " n"], classes: Sequence[str]) -> Int[Tensor, " n"]:
    """Class of each row; -1, which no probe answers, where train never showed the value."""
    index = {label: i for i, label in enumerate(classes)}
    return torch.tensor([index.get(sites.label[int(row)], -1) for row in rows], dtype=torch.long)
