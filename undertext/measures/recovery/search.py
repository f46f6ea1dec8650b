"""A steering search: every setting tried on dev, the chosen ones applied to a split, controls alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import CHOOSE, Access, ControlKind
from undertext.measures.answers import Answers
from undertext.measures.recovery.candidates import CandidateVectors
from undertext.measures.recovery.config import SearchConfig
from undertext.steering import RowStore, Setting, Sweep, grid, halving, sweep
from undertext.steering.sweep_runner import Offered
from undertext.tasks.draws import drawn
from undertext.tasks.output_grader import OutputGrader, grading
from undertext.tasks.task import Problem, Task, continuations

PREFERRED_ACCESS: tuple[Access, ...] = (
    "weaker only",
    "none",
    "stronger's activations",
    "stronger in the loop",
)
"""Which of two directions is preferred that do equally well on dev: the one of less access, and a vector with
a meaning before a random one."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class SteeringSearch:
    """Every setting on dev, and which of them was chosen."""

    candidates: CandidateVectors
    on_dev: Sweep
    best: dict[str, Setting]
    """By vector, its chosen setting."""
    strongest: str
    """Name of the vector, or random direction, that does best on dev: what may prove a latent capability."""
    best_vector: str | None
    """Name of the vector that does best on dev, controls left out; None where there are controls alone."""

    def accuracy(self, setting: Setting) -> float:
        """Lenient accuracy on dev."""
        return float(self.on_dev.accuracy()[self.on_dev.settings.index(setting)])

    def hook(self, setting: Setting) -> str:
        """Name of the hook point at which a setting acts."""
        site = next(v.site for v in self.candidates.vectors if v.name == setting.vector)
        return str(HookPoint(setting.layers[0], site))

    def best_control(self, kind: ControlKind) -> str | None:
        """The control of a kind that does best on dev, the first among equals; None where there is none."""
        names = [name for name, control in self.candidates.controls.items() if control.kind == kind]
        return max(names, key=lambda name: self.accuracy(self.best[name]), default=None)


@dataclass(frozen=True, eq=False)
class SteeredAnswers(Answers):
    """What the checkpoint answers under one vector's chosen setting."""

    steered: float
    """Share of the generated tokens that were chosen in a steered pass (`Sweep.share_steered`)."""
    touched: float
    """Share of all tokens read, those of the prompts among them, at which something was changed."""


def search_settings(
    candidates: CandidateVectors, layers: Sequence[int], config: SearchConfig
) -> list[Setting]:
    """All settings that a search tries.

    A vector without a direction at some of the layers is tried at the others, and where none is left, at
    those where it has one.
    """
    settings = []
    for vector in candidates.vectors:
        own = [layer for layer in layers if layer in vector.layers] or vector.layers
        gates = candidates.gates[vector.name]
        settings += grid([vector.name], own, sorted(config.doses), gates, config.operators)
    return settings


def search(
    weaker: Checkpoint,
    task: Task,
    candidates: CandidateVectors,
    layers: Sequence[int],
    config: SearchConfig,
    progress: Progress | None = None,
    keep: RowStore | None = None,
) -> SteeringSearch:
    """Try every vector, layer, dose and gate on dev. Among equals the smallest dose is taken.

    Controls go through the same layers and doses, at as many gates. A search that was killed goes on from the
    rows that are in `keep`.
    """
    problems = drawn(task.split(CHOOSE), config.seed, config.search_problems)
    names = [vector.name for vector in candidates.vectors]
    settings = search_settings(candidates, layers, config)
    prompts = [problem.prompt for problem in problems]
    right, options = grading(task, problems), _options(task, problems, candidates, config, keep, progress)
    if config.search == "halving":
        halved = halving(
            weaker,
            prompts,
            settings,
            candidates.vectors,
            right,
            each_vector=True,
            seed=config.seed,
            **options,
        )
        on_dev, best = halved.sweep, halved.best
    else:
        on_dev = sweep(weaker, prompts, settings, candidates.vectors, right, **options)
        best = _best(settings, on_dev, names)
    scores = dict(zip(settings, on_dev.accuracy().tolist(), strict=True))
    # A random direction that recovers answers is evidence too. The other controls are partly vectors of the
    # task themselves: the vectors that they are made like stand for what they recover.
    vectors = [name for name in names if name not in candidates.controls]
    directions = [
        name for name, control in candidates.controls.items() if control.kind == "random directions"
    ]

    def rank(name: str) -> tuple[float, int]:
        return scores[best[name]], -PREFERRED_ACCESS.index(candidates.access[name])

    strongest, best_vector = max([*vectors, *directions], key=rank), max(vectors, key=rank, default=None)
    return SteeringSearch(candidates, on_dev, best, strongest, best_vector)


def recover(
    weaker: Checkpoint,
    task: Task,
    split: str,
    searched: SteeringSearch,
    config: SearchConfig,
    progress: Progress | None = None,
    keep: RowStore | None = None,
) -> dict[str, SteeredAnswers]:
    """Answers to the problems of a split, by vector, under the setting chosen for the vector on dev."""
    problems = task.split(split)
    out = sweep(
        weaker,
        [problem.prompt for problem in problems],
        list(searched.best.values()),
        searched.candidates.vectors,
        grading(task, problems),
        **_options(task, problems, searched.candidates, config, keep, progress),
    )
    grader = OutputGrader(task)
    steered, touched = out.share_steered().tolist(), out.share_touched().tolist()
    return {
        name: SteeredAnswers(
            out.texts[i],
            out.strict[i].numpy(),
            out.lenient[i].numpy(),
            out.written[i].double().numpy(),
            np.array(
                [grader.unfinished(*each) for each in zip(out.texts[i], out.cut[i].tolist(), strict=True)]
            ),
            steered[i],
            touched[i],
        )
        for i, name in enumerate(searched.best)
    }


def _options(
    task: Task,
    problems: Sequence[Problem],
    candidates: CandidateVectors,
    config: SearchConfig,
    keep: RowStore | None,
    progress: Progress | None,
) -> dict[str, Any]:
    choices = [problem.choices for problem in problems]
    offered = Offered(choices, [continuations(problem) for problem in problems], task.grader.normalise)
    return {
        "offered": offered if task.grader.kind == "likelihood" else None,
        "thresholds": candidates.thresholds,
        "max_new_tokens": task.max_new_tokens,
        "stop": task.stop,
        "batch_size": config.batch_size,
        "keep": keep,
        "progress": progress,
    }


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
