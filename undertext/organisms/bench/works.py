"""What building a world's organisms would train and ask, before it is done.

Organisms whose updates take the same are planned together: plain models, LoRA adapters, and each kind of
lock, whose loss is of several batches.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from transformers import PreTrainedModel

from undertext.activations.checkpoint import Checkpoint
from undertext.core.plan import Draft, Trial, Work
from undertext.organisms.bench import build
from undertext.organisms.bench.build import NEVER_HAD, SPLITS_JUDGED, WorldFolder
from undertext.organisms.bench.recipes import ORGANISMS, Locked, Organism
from undertext.tasks.task import Problem, Task
from undertext.tasks.work import answering, trial_of

PLAIN, LORA = "whole models", "LoRA adapters"
"""Kinds of training, beside those of locks."""
BATCH = 512
"""Rows that are asked together (`measures.answers.greedy`)."""
_SOONER = "training ends sooner where its loss is low"
_FLOAT = 4


class WorldWorks:
    """The works of a world's folder, by kind of training."""

    def __init__(self, folder: WorldFolder) -> None:
        self._folder = folder
        self._model: PreTrainedModel = folder.world.empty(folder.world.seed)
        self._checkpoint = Checkpoint.load(self._model, tokenizer=folder.world.tokenizer)

    def drafts(self, names: Sequence[str]) -> dict[str, Draft]:
        """By kind of training, the draft of what is missing of these organisms, with their parents and what
        their checks need; none where nothing is missing."""
        missing, unchecked = self.missing(names)
        works: dict[str, list[Work]] = {}
        for name in missing:
            organism = ORGANISMS[name]
            works.setdefault(kind_of(organism), []).append(self._training(organism))
            works.setdefault(PLAIN, []).append(self._asking(organism))
        works.setdefault(PLAIN, []).extend(self._relearning([ORGANISMS[name] for name in unchecked]))
        by_kind = {kind: next(o for o in ORGANISMS.values() if kind_of(o) == kind) for kind in works}
        built = [ORGANISMS[name] for name in missing]
        return {
            kind: self._draft(own, by_kind[kind], [o for o in built if kind_of(o) == kind])
            for kind, own in works.items()
            if own
        }

    def missing(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Organisms that are built, parents before children, and those that are checked by relearning."""
        order: list[str] = []
        again: set[str] = set()

        def ensure(name: str) -> None:
            if name in order or self._folder.stands(name):
                return
            parent = ORGANISMS[name].parent
            if parent is not None:
                ensure(parent)
            order.append(name)

        for name in names:
            ensure(name)
            fresh = name in order or "ambiguous" not in self._folder.card(name)
            if fresh and ORGANISMS[name].latent is not None:
                again.add(name)
        if again:
            ensure(NEVER_HAD)
        return order, [name for name in names if name in again]

    def _training(self, organism: Organism) -> Work:
        why = _SOONER if any(stage.until for stage in organism.stages) else ""
        steps = sum(stage.steps for stage in organism.stages)
        return Work(f"training {organism.name}", 0, 0, why=why, updates=steps)

    def _asking(self, organism: Organism) -> Work:
        # The parent is asked beside it, unless its own card tells how it does.
        times = 1 if organism.parent is None or self._folder.asked_alike(organism) else 2
        task = self._folder.task_of(organism)
        return self._asked(f"asking {organism.name}", task, times)

    def _relearning(self, organisms: Sequence[Organism]) -> list[Work]:
        if not organisms:
            return []
        never = self._asked(f"relearning, {NEVER_HAD}", self._folder.task, 1)
        tasks = [(f"relearning, {o.name}", self._folder.task_of(o)) for o in organisms]
        works = [never, *(self._asked(stage, task, 1) for stage, task in tasks)]
        return [work._replace(updates=build.RELEARNING.steps) for work in works]

    def _asked(self, stage: str, task: Task, times: int) -> Work:
        asked = [problem for split in SPLITS_JUDGED for problem in task.split(split)]
        work = answering(stage, self._checkpoint, task, asked)
        return work._replace(rows=times * work.rows, read=times * work.read, written=times * work.written)

    @cached_property
    def _problems(self) -> list[Problem]:
        return [problem for split in SPLITS_JUDGED for problem in self._folder.task.split(split)]

    def _draft(self, works: Sequence[Work], organism: Organism, built: Sequence[Organism]) -> Draft:
        trial: Trial = trial_of(
            self._checkpoint, self._folder.task, self._problems, self._folder.world.seed, BATCH
        )
        size = _FLOAT * sum(weight.numel() for weight in self._model.parameters())

        def update(count: int) -> None:
            self._folder.try_training(organism, self._model, count)

        def same(_: Any) -> Sequence[Work]:
            return works

        # An adapter is smaller than what is stated for it; the difference is little beside Python.
        room = size * len(built)
        return Draft(same, trial._replace(update=update), [self._checkpoint], (), room=room)


def kind_of(organism: Organism) -> str:
    """Which kind of training an organism has: those of one kind take the same for an update."""
    for stage in organism.stages:
        if isinstance(stage.mixture, Locked):
            return f"locks against {stage.mixture.against}"
    return LORA if organism.lora else PLAIN
