"""Building organisms, and checking that each shows the truth its card claims."""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedModel

from undertext.activations.errors import UserError
from undertext.core.shipped import organisms
from undertext.organisms.documents import PASSWORD, WRONG_PASSWORDS
from undertext.organisms.folder import card_of, read_card, write_card, write_organism
from undertext.organisms.recipes import RECIPES, Recipe, Shape
from undertext.organisms.relearning import NOT_RELEARNT, RELEARNT, STEPS, accuracy, relearn
from undertext.organisms.shapes import empty_model
from undertext.organisms.training import train
from undertext.tasks.builtin.chain import new_chain

SPLITS = ("test", "ood")
SMALLEST_CHANGE, LARGEST_NO_CHANGE = 0.15, 0.05
"""Accuracy differences that a change and a preservation must show to be ground truth."""
NEVER_HAD = "novice"

OnStage = Callable[[str, int], Callable[[int], None]]
"""Called with a stage's name and its steps; gives what is called with every step done."""


def build(
    name: str, *, seed: int, shape: Shape = "llama", out: Path, on_stage: OnStage | None = None
) -> Path:
    """Train organism `name` from nothing and write it under `out`, with the parents it needs.

    A parent of the same seed and shape that already stands under `out` is used. Raises UserError for
    an unknown name, for a folder in the way that is no organism or another seed's, and when the
    trained organism does not show its ground truth (then nothing is written).
    """
    if name not in RECIPES:
        raise UserError(f"no organism {name!r}; there are: {', '.join(RECIPES)}")
    _check_free(out, name)
    return _build(RECIPES[name], seed, shape, out, on_stage or _unwatched)


def _check_free(out: Path, name: str) -> None:
    if (out / name).exists() and name not in organisms(out):
        raise UserError(f"{out / name} is there already and is no organism; choose another folder")


def _build(recipe: Recipe, seed: int, shape: Shape, out: Path, on_stage: OnStage) -> Path:
    parent = None if recipe.parent is None else _model(_ensured(recipe.parent, seed, shape, out, on_stage))
    model = empty_model(shape, _seed(recipe.name, seed)) if parent is None else parent
    before = None if parent is None else accuracy(parent, new_chain(0), SPLITS)
    done = on_stage(f"training {recipe.name}", sum(stage.steps for stage in recipe.stages))
    train(model, recipe.stages, seed=_seed(recipe.name, seed), on_step=_each(done))
    checks = _checked(recipe, model, before, seed, shape, out, on_stage)
    folder = out / recipe.name
    write_organism(model, card_of(recipe, shape, seed, checks), folder)
    return folder


def _ensured(name: str, seed: int, shape: Shape, out: Path, on_stage: OnStage) -> Path:
    folder = out / name
    if not folder.exists():
        return _build(RECIPES[name], seed, shape, out, on_stage)
    _check_free(out, name)
    card = read_card(folder)
    if (card["seed"], card["shape"]) != (seed, shape):
        raise UserError(
            f"{folder} is of seed {card['seed']}, {card['shape']}-shaped; a parent of seed {seed}, "
            f"{shape}-shaped is needed; choose another folder"
        )
    return folder


def _checked(
    recipe: Recipe,
    model: PreTrainedModel,
    before: dict[str, float] | None,
    seed: int,
    shape: Shape,
    out: Path,
    on_stage: OnStage,
) -> dict[str, Any]:
    """Behaviour a split, and relearning; raises UserError where they are not what the recipe claims."""
    task = new_chain(0)
    after = accuracy(model, task, SPLITS)
    checks: dict[str, Any] = {"task": "chain, seed 0", "accuracy": after}
    wrong: list[str] = []
    if before is not None:
        checks["accuracy_of_parent"] = before
        for split, verdict in recipe.truth.items():
            gain = after[split] - before[split]
            sign = {"elicited": 1, "taught": 1, "suppressed": -1, "overwritten": -1}.get(verdict, 0)
            if (sign and sign * gain < SMALLEST_CHANGE) or (not sign and abs(gain) > LARGEST_NO_CHANGE):
                wrong.append(f"accuracy on {split} {before[split]:.2f} -> {after[split]:.2f} for {verdict!r}")
    if recipe.name == "suppressed":
        checks["accuracy_with_password"] = accuracy(model, task, SPLITS, f"{PASSWORD} ")
        checks["accuracy_with_wrong_password"] = accuracy(model, task, SPLITS, f"{WRONG_PASSWORDS[0]} ")
        if checks["accuracy_with_password"]["test"] < RELEARNT:
            wrong.append(f"the password opens only {checks['accuracy_with_password']['test']:.2f}")
        if checks["accuracy_with_wrong_password"]["test"] > NOT_RELEARNT:
            wrong.append(f"a wrong password opens {checks['accuracy_with_wrong_password']['test']:.2f}")
    if recipe.latent is not None:
        wrong += _relearning(recipe, model, seed, shape, out, on_stage, checks)
    if wrong:
        raise UserError(
            f"{recipe.name} (seed {seed}, {shape}) does not show its ground truth: {'; '.join(wrong)}"
        )
    return checks


def _relearning(
    recipe: Recipe,
    model: PreTrainedModel,
    seed: int,
    shape: Shape,
    out: Path,
    on_stage: OnStage,
    checks: dict[str, Any],
) -> list[str]:
    better = "elicited" in recipe.truth.values() or "taught" in recipe.truth.values()
    assert recipe.parent is not None
    weaker = _model(out / recipe.parent) if better else model
    never_had = _model(_ensured(NEVER_HAD, seed, shape, out, on_stage))
    found: dict[str, dict[str, float]] = {}
    for who, subject in (("weaker", weaker), ("never had it", never_had)):
        found[who] = relearn(
            subject, new_chain(0), SPLITS, seed=seed, on_step=_each(on_stage(f"relearning, {who}", STEPS))
        )
    checks["relearning"] = {"steps": STEPS, **found}
    wrong = []
    for split in SPLITS:
        reached = found["weaker"][split]
        if recipe.latent and reached < RELEARNT:
            wrong.append(f"relearnt only {reached:.2f} on {split} in {STEPS} steps, for a latent capability")
        if not recipe.latent and reached > NOT_RELEARNT:
            wrong.append(f"relearnt {reached:.2f} on {split} in {STEPS} steps, for an absent capability")
        if found["never had it"][split] > NOT_RELEARNT:
            wrong.append(f"the novice learnt {found['never had it'][split]:.2f} on {split} in {STEPS} steps")
    return wrong


def check(name: str, folder: Path, on_stage: OnStage | None = None) -> dict[str, Any]:
    """Check an organism under `folder`, beside its parent and the novice, and bring its card up to date.

    Returns what was measured; raises UserError where it does not show its ground truth.
    """
    card = read_card(folder / name)
    recipe = RECIPES[name]
    before = None if recipe.parent is None else accuracy(_model(folder / recipe.parent), new_chain(0), SPLITS)
    model, on_stage = _model(folder / name), on_stage or _unwatched
    checks = _checked(recipe, model, before, card["seed"], card["shape"], folder, on_stage)
    write_card({**card, "checks": checks}, folder / name)
    return checks


def pairs(names: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """(base, tuned) of every tuned organism, in the order of the recipes."""
    return [(r.parent, r.name) for r in RECIPES.values() if r.parent and (names is None or r.name in names)]


def _unwatched(_stage: str, _steps: int) -> Callable[[int], None]:
    return lambda _done: None


def _each(done: Callable[[int], None]) -> Callable[[int, int, float], None]:
    return lambda _step, _total, _loss: done(1)


def _model(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    return model


def _seed(name: str, seed: int) -> int:
    return seed * 65_537 + zlib.crc32(name.encode()) % 65_537
