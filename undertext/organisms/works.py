"""What building organisms of the zoo and of the findings would train and ask, before it is done.

Organisms whose updates take the same are planned together, since a plan has one rate of updates.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from undertext.activations.checkpoint import Checkpoint
from undertext.core.plan import Draft, Trial, Work
from undertext.organisms import relearning
from undertext.organisms.build import LOCKED, NEVER_HAD, SPLITS, check_free, stands
from undertext.organisms.documents import PASSWORD, WRONG_PASSWORDS
from undertext.organisms.findings.build import FindingsFolder, empty, loss_of
from undertext.organisms.findings.recipes import FINDING_RECIPES, FindingRecipe, Rewarded
from undertext.organisms.findings.vector import one_vector
from undertext.organisms.recipes import RECIPES
from undertext.organisms.shapes import Shape, chain_tokenizer, empty_model
from undertext.organisms.training import Stage, train
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.work import answering, trial_of

ASKED = 512
"""Rows that are asked together (`measures.answers.greedy`)."""
SOONER = "training ends sooner where its loss is low"
_FLOAT = 4
READING, REWARD, VECTOR = "on documents", "by rewards", "of one vector"
"""Kinds of training of the findings' organisms."""


def zoo_drafts(names: Iterable[str], out: Path, seed: int, shape: Shape) -> dict[str, Draft]:
    """By size of batch, what building these organisms of the zoo trains, one after another, with the parents
    that are missing below `out`; and in the largest of them what their checks ask and relearn.

    Raises UserError where a folder is in the way.
    """
    order = zoo_order(names, out, seed, shape)
    model, task = empty_model(shape, seed), new_chain(0)
    checkpoint = Checkpoint.load(model, tokenizer=chain_tokenizer())
    problems = [problem for split in SPLITS for problem in task.split(split)]
    works: dict[int, list[Work]] = {}
    longest: dict[int, Stage] = {}
    again = Stage(None, relearning.STEPS).batch  # that of relearning

    def asking(stage: str, prefixes: Sequence[str]) -> Work:
        """Both splits, once with each of these texts before every prompt."""
        prompts = [f"{prefix}{problem.prompt}" for prefix in prefixes for problem in problems]
        asked = problems * len(prefixes)
        return answering(stage, checkpoint, task, asked, prompts=prompts)._replace(shared=False)

    for name, number in _numbered(order):
        recipe = RECIPES[name].of(shape)
        for batch in sorted({stage.batch for stage in recipe.stages}):
            stages = [stage for stage in recipe.stages if stage.batch == batch]
            works.setdefault(batch, []).append(_training(f"training {number}", stages))
            longest[batch] = max([*stages, *filter(None, [longest.get(batch)])], key=lambda each: each.steps)
        parent = [""] if recipe.parent is not None else []
        words = [f"{PASSWORD} ", f"{WRONG_PASSWORDS[0]} "] if name == LOCKED else []
        works.setdefault(again, []).append(asking(f"asking {number}", ["", *parent, *words]))
        if recipe.latent is not None:
            two = asking(f"relearning, {number}", ["", ""])._replace(updates=2 * relearning.STEPS)
            works.setdefault(again, []).append(two)
    trial = trial_of(checkpoint, task, problems, seed, ASKED)
    ends = [RECIPES[name].of(shape).stages[-1].batch for name in dict.fromkeys(order)]
    usual = max(longest.values(), key=lambda each: each.steps, default=None)
    drafts = {}
    for batch, own in works.items():
        stage = longest.get(batch) or (None if usual is None else replace(usual, batch=batch))
        update = None if stage is None else _updates(model, stage)
        room = _size(model) * ends.count(batch)
        drafts[f"batches of {batch}"] = _draft(own, trial._replace(update=update), [checkpoint], room)
    return drafts


def zoo_order(names: Iterable[str], out: Path, seed: int, shape: Shape) -> list[str]:
    """Organisms in the order in which they are built; those that are asked for are built anew, and one that
    another's check needs first is built twice."""
    order: list[str] = []

    def ensure(name: str) -> None:
        if name not in order and not stands(out / name, seed, shape):
            build(name)

    def build(name: str) -> None:
        recipe = RECIPES[name]
        if recipe.parent is not None:
            ensure(recipe.parent)
        if recipe.latent is not None:
            ensure(NEVER_HAD)
        order.append(name)

    for name in names:
        check_free(out / name)
        build(name)
    return order


def findings_drafts(names: Iterable[str], out: Path, seed: int) -> dict[str, Draft]:
    """By kind of training, what building these organisms of the findings trains; those that stand below
    `out`, of today's recipe, are left out. Nothing is asked: they have no verdict to check."""
    folder, order = FindingsFolder(out, seed), list[str]()

    def ensure(name: str) -> None:
        recipe = FINDING_RECIPES[name]
        if name in order or folder.stands(name):
            return
        if recipe.parent is not None:
            ensure(recipe.parent)
        order.append(name)

    for name in names:
        ensure(name)
    works: dict[str, list[Work]] = {}
    longest: dict[str, tuple[FindingRecipe, Stage]] = {}
    for recipe in (FINDING_RECIPES[name] for name in order):
        for kind in dict.fromkeys(_kind(recipe, stage) for stage in recipe.stages):
            stages = [stage for stage in recipe.stages if _kind(recipe, stage) == kind]
            works.setdefault(kind, []).append(_training(f"training {recipe.name}", stages))
            most = max(stages, key=lambda each: each.steps)
            if kind not in longest or most.steps > longest[kind][1].steps:
                longest[kind] = recipe, most
    drafts, model = {}, empty(seed)
    ends = [_kind(recipe, recipe.stages[-1]) for recipe in (FINDING_RECIPES[name] for name in order)]
    for kind, own in works.items():
        recipe, stage = longest[kind]
        learner = model if recipe.vector_at is None else one_vector(model, recipe.vector_at)
        trial = Trial(None, [], 1, 0, update=_updates(learner, stage, loss_of))
        drafts[kind] = _draft(own, trial, [], _size(model) * ends.count(kind))
    return drafts


def _kind(recipe: FindingRecipe, stage: Stage) -> str:
    if recipe.vector_at is not None:
        return VECTOR
    return REWARD if isinstance(stage.mixture, Rewarded) else READING


def _training(name: str, stages: Sequence[Stage]) -> Work:
    why = SOONER if any(stage.until for stage in stages) else ""
    return Work(name, 0, 0, why=why, updates=sum(stage.steps for stage in stages))


def _updates(model: PreTrainedModel, stage: Stage, loss: Any = None) -> Callable[[int], None]:
    """Makes so many updates of a stage on a copy of the model; nothing is kept."""
    more = {} if loss is None else {"loss_of": loss}

    def update(count: int) -> None:
        with torch.random.fork_rng(devices=[]):
            train(copy.deepcopy(model), [replace(stage, steps=count, until=0.0)], seed=0, **more)

    return update


def _draft(works: Sequence[Work], trial: Trial, checkpoints: Sequence[Checkpoint], room: int) -> Draft:
    return Draft(lambda _: works, trial, checkpoints, (), room=room)


def _size(model: PreTrainedModel) -> int:
    """Bytes of the weights as they are written."""
    return _FLOAT * sum(weight.numel() for weight in model.parameters())


def _numbered(names: Sequence[str]) -> list[tuple[str, str]]:
    """Names with what each is called as a stage: what comes again is told apart."""
    return [(name, name if name not in names[:i] else f"{name} again") for i, name in enumerate(names)]
