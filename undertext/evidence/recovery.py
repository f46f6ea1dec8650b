"""Capability recovered without training: searched on dev, reported on the split, controls searched alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.hookpoint import HookPoint
from steering import Setting, Sweep, Where, grid, halving, sweep
from undertext.comparison import Oracle
from undertext.config import SteerConfig
from undertext.evidence.behaviour import Behaviour, chance_right
from undertext.evidence.controls import KINDS, ControlKind
from undertext.evidence.measured import Measured
from undertext.evidence.vectors import Offered
from undertext.tasks.grade import grade
from undertext.tasks.task import Problem, Task

RUNGS: tuple[Oracle, ...] = ("weaker only", "none", "stronger's activations", "stronger in the loop")
"""Order in which equally good settings on dev are preferred: least knowledge first, and a vector with a
meaning before a random one."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Search:
    """Every setting on dev, and the one chosen for each vector and over all."""

    offered: Offered
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


def grading(task: Task, problems: Sequence[Problem]) -> Callable[[int, str], tuple[bool, bool]]:
    """Grades texts by their problem's index, strictly and leniently."""

    def right(i: int, text: str) -> tuple[bool, bool]:
        return tuple(grade(task.grader, text, problems[i].answer))  # type: ignore[return-value]

    return right


def _options(task: Task, config: SteerConfig, keep: Path | None, progress: Progress | None) -> dict[str, Any]:
    return {
        "max_new_tokens": task.max_new_tokens,
        "stop": task.stop,
        "batch_size": config.batch_size,
        "keep": keep,
        "progress": progress,
    }


def search_settings(offered: Offered, layers: Sequence[int], config: SteerConfig) -> list[Setting]:
    """All that a search tries: each vector at those of the layers at which it has a direction.

    UserError for one that has none at any of them.
    """
    usual = tuple(Where(at) for at in config.positions)
    settings = []
    for vector in offered.vectors:
        control = offered.controls.get(vector.name)
        where = usual if control is None or control.where is None else control.where
        there = [layer for layer in layers if layer not in vector.absent]
        if not there:
            raise UserError(
                f"vector {vector.name!r} has a direction at layers {', '.join(map(str, vector.layers))}, and "
                f"the search is at {', '.join(map(str, layers))}: set layers to one of its own"
            )
        settings += grid([vector.name], there, sorted(config.doses), where, config.operators)
    return settings


def search(
    weaker: Checkpoint,
    task: Task,
    offered: Offered,
    layers: Sequence[int],
    config: SteerConfig,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> Search:
    """Try every vector, layer, dose and position on dev. Among equals the smallest dose is taken.

    Controls go through the same layers and doses, at as many positions. With `keep`, a folder, a search that
    was killed goes on where it was.
    """
    problems = task.split("dev")[: config.search_problems]
    names = [vector.name for vector in offered.vectors]
    settings = search_settings(offered, layers, config)
    prompts = [problem.prompt for problem in problems]
    right, options = grading(task, problems), _options(task, config, keep, progress)
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
    return Search(offered, on_dev, best, headline)


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
class Recovery:
    """Each vector's chosen setting on a split."""

    search: Search
    texts: dict[str, list[str]]
    strict: dict[str, Bool[ndarray, " problem"]]
    lenient: dict[str, Bool[ndarray, " problem"]]
    tokens: dict[str, float]
    """Written a problem, mean; and"""
    touched: dict[str, float]
    """steered a problem, those of the prompt among them."""


def recover(
    weaker: Checkpoint,
    task: Task,
    split: str,
    found: Search,
    config: SteerConfig,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> Recovery:
    """Apply each vector's setting chosen on dev to the problems of a split."""
    names = list(found.best)
    problems = task.split(split)
    out = sweep(
        weaker,
        [problem.prompt for problem in problems],
        list(found.best.values()),
        found.offered.vectors,
        grading(task, problems),
        **_options(task, config, keep, progress),
    )
    return Recovery(
        found,
        dict(zip(names, out.texts, strict=True)),
        dict(zip(names, out.strict.numpy(), strict=True)),
        dict(zip(names, out.lenient.numpy(), strict=True)),
        dict(zip(names, out.written.float().mean(1).tolist(), strict=True)),
        dict(zip(names, out.touched.float().mean(1).tolist(), strict=True)),
    )


def recovered_line(
    recovery: Recovery, task: Task, problems: Sequence[Problem], weaker: Behaviour, stronger: Behaviour
) -> Measured:
    """The line `recovered`: accuracy of the headline vector over what empty steering could reach.

    Its null keeps every problem the weaker checkpoint had right and credits the others with the
    chance that the steered output is right for some other problem: all that outputs without
    information about their problem can do.
    """
    name = recovery.search.headline
    setting = recovery.search.best[name]
    steered = recovery.lenient[name].astype(float)
    before = weaker.lenient.astype(float)
    null = before + (1 - before) * chance_right(task, problems, recovery.texts[name])
    over = [
        f"{steered.mean() - recovery.lenient[control].mean():+.2f} over {kind}"
        for kind in KINDS
        if (control := recovery.search.best_control(kind)) is not None
    ]
    tried = len(recovery.search.on_dev.settings)
    return Measured(
        name="recovered",
        problems=np.arange(len(problems)),
        weaker=steered,
        stronger=stronger.lenient.astype(float),
        null=null,
        oracle=recovery.search.offered.oracles[name],
        note=f"recovered gap of {name!r} added at {HookPoint(setting.layers[0], 'resid_post')}, "
        f"{setting.where.at}, dose {setting.dose:g}, chosen on dev among {tried} settings "
        f"({log2(tried):.1f} bits); accuracy {', '.join(over)} under the same search; null: the same outputs "
        "graded against other problems' answers where the weaker was wrong",
        kind="gap",
        unaided=before,
    )
