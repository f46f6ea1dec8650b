"""Capability recovered without training: searched on dev, reported on the split, controls searched alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import Access
from undertext.measures.answers import grading
from undertext.measures.recovery.candidates import CandidateVectors
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.controls import KINDS, ControlKind, described
from undertext.steering import Setting, Sweep, grid, halving, sweep
from undertext.tasks.grade import grade
from undertext.tasks.task import Problem, Task

RUNGS: tuple[Access, ...] = ("weaker only", "none", "stronger's activations", "stronger in the loop")
"""Order in which equally good settings on dev are preferred: least knowledge first, and a vector with a
meaning before a random one."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class SteeringSearch:
    """Every setting on dev, and the one chosen for each vector and over all."""

    offered: CandidateVectors
    on_dev: Sweep
    best: dict[str, Setting]
    """By vector."""
    headline: str
    """What does best on dev of all vectors and random directions."""

    def accuracy(self, setting: Setting) -> float:
        """Lenient accuracy on dev."""
        return float(self.on_dev.accuracy()[self.on_dev.settings.index(setting)])

    def best_control(self, kind: ControlKind) -> str | None:
        """The control of a kind that does best on dev, the first among equals; None where there is none."""
        names = [name for name, control in self.offered.controls.items() if control.kind == kind]
        return max(names, key=lambda name: self.accuracy(self.best[name]), default=None)


def _options(
    task: Task, offered: CandidateVectors, config: SearchConfig, keep: Path | None, progress: Progress | None
) -> dict[str, Any]:
    return {
        "thresholds": offered.thresholds,
        "max_new_tokens": task.max_new_tokens,
        "stop": task.stop,
        "batch_size": config.batch_size,
        "keep": keep,
        "progress": progress,
    }


def search_settings(offered: CandidateVectors, layers: Sequence[int], config: SearchConfig) -> list[Setting]:
    """All that a search tries.

    A vector without a direction at some layers is tried at the others, and where that leaves none, at those
    where it has one.
    """
    settings = []
    for vector in offered.vectors:
        own = [layer for layer in layers if layer in vector.layers] or vector.layers
        where = offered.where[vector.name]
        settings += grid([vector.name], own, sorted(config.doses), where, config.operators)
    return settings


def search(
    weaker: Checkpoint,
    task: Task,
    offered: CandidateVectors,
    layers: Sequence[int],
    config: SearchConfig,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> SteeringSearch:
    """Try every vector, layer, dose and position on dev. Among equals the smallest dose is taken.

    Controls go through the same layers and doses, at as many positions. With `keep`, a folder, a search that
    was killed goes on where it was.
    """
    problems = task.split("dev")[: config.search_problems]
    names = [vector.name for vector in offered.vectors]
    settings = search_settings(offered, layers, config)
    prompts = [problem.prompt for problem in problems]
    right, options = grading(task, problems), _options(task, offered, config, keep, progress)
    if config.search == "halving":
        halved = halving(
            weaker, prompts, settings, offered.vectors, right, each_vector=True, seed=config.seed, **options
        )
        on_dev, best = halved.sweep, halved.best
    else:
        on_dev = sweep(weaker, prompts, settings, offered.vectors, right, **options)
        best = _best(settings, on_dev, names)
    scores = dict(zip(settings, on_dev.accuracy().tolist(), strict=True))
    # A random direction that opens what is there is evidence too. The other controls are vectors in part:
    # what they open, the vectors that they are made like can stand for.
    standing = [
        name
        for name in names
        if name not in offered.controls or offered.controls[name].kind == "random directions"
    ]
    headline = max(standing, key=lambda name: (scores[best[name]], -RUNGS.index(offered.oracles[name])))
    return SteeringSearch(offered, on_dev, best, headline)


def _best(settings: Sequence[Setting], on_dev: Sweep, names: Sequence[str]) -> dict[str, Setting]:
    scores = on_dev.accuracy().tolist()
    return {
        name: settings[
            max(
                (i for i, setting in enumerate(settings) if setting.vector == name),
                key=lambda i: (scores[i], -settings[i].dose),
            )
        ]
        for name in names
    }


@dataclass(frozen=True)
class SteeredAnswers:
    """Each vector's chosen setting on a split."""

    search: SteeringSearch
    texts: dict[str, list[str]]
    strict: dict[str, Bool[ndarray, " problem"]]
    lenient: dict[str, Bool[ndarray, " problem"]]
    tokens: dict[str, float]
    """Written a problem, mean."""
    steered: dict[str, float]
    """Share of the generated tokens that were chosen in a steered pass (`Sweep.share_steered`), and"""
    touched: dict[str, float]
    """of all tokens read, those of the prompts among them, the share that was steered."""


def recover(
    weaker: Checkpoint,
    task: Task,
    split: str,
    found: SteeringSearch,
    config: SearchConfig,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> SteeredAnswers:
    """Apply each vector's setting chosen on dev to the problems of a split."""
    names = list(found.best)
    problems = task.split(split)
    out = sweep(
        weaker,
        [problem.prompt for problem in problems],
        list(found.best.values()),
        found.offered.vectors,
        grading(task, problems),
        **_options(task, found.offered, config, keep, progress),
    )
    return SteeredAnswers(
        found,
        dict(zip(names, out.texts, strict=True)),
        dict(zip(names, out.strict.numpy(), strict=True)),
        dict(zip(names, out.lenient.numpy(), strict=True)),
        dict(zip(names, out.written.float().mean(1).tolist(), strict=True)),
        dict(zip(names, out.share_steered().tolist(), strict=True)),
        dict(zip(names, out.share_touched().tolist(), strict=True)),
    )
