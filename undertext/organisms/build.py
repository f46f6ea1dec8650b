"""Building organisms, and checking that each shows the truth its card claims."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedModel

from undertext.activations.errors import UserError
from undertext.core.progress import Progress
from undertext.core.shipped import organisms
from undertext.organisms.documents import PASSWORD, WRONG_PASSWORDS
from undertext.organisms.folder import card_of, read_card, write_card, write_organism
from undertext.organisms.recipes import RECIPES, Recipe
from undertext.organisms.relearning import NOT_RELEARNT, RELEARNT, STEPS, accuracy, relearn
from undertext.organisms.shapes import Shape, empty_model
from undertext.organisms.training import train
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.task import Task

SPLITS = ("test", "ood")
SMALLEST_CHANGE, LARGEST_NO_CHANGE = 0.15, 0.05
"""Accuracy differences that a change and a preservation must show to be ground truth."""
NEVER_HAD = "novice"
"""The organism that relearning is compared with."""
LOCKED = "suppressed"
"""The organism that is asked with its password, and with a wrong one, too."""
SIGN = {"elicited": 1, "taught": 1, "suppressed": -1, "overwritten": -1}
"""Sign of the accuracy difference that a verdict goes with; none for the others."""


def build(name: str, *, seed: int, shape: Shape = "llama", out: Path, bars: Progress | None = None) -> Path:
    """Train organism `name` from nothing and write it under `out`, with the parents it needs.

    A parent of the same seed and shape that already stands under `out` is used. Raises UserError for
    an unknown name, for a folder in the way that is no organism or another seed's, and when the
    trained organism does not show its ground truth (then nothing is written).
    """
    if name not in RECIPES:
        raise UserError(f"no organism {name!r}; there are: {', '.join(RECIPES)}")
    check_free(out / name)
    return _Zoo(out, seed, shape, bars or Progress(False)).build(RECIPES[name])


def check(name: str, folder: Path, bars: Progress | None = None) -> dict[str, Any]:
    """Check an organism under `folder`, beside its parent and the novice, and bring its card up to date.

    Returns what was measured; raises UserError where it does not show its ground truth.
    """
    card, recipe = read_card(folder / name), RECIPES[name]
    zoo = _Zoo(folder, card["seed"], card["shape"], bars or Progress(False))
    before = None if recipe.parent is None else accuracy(_model(folder / recipe.parent), zoo.task, SPLITS)
    checks = zoo.checked(recipe, _model(folder / name), before)
    write_card({**card, "checks": checks}, folder / name)
    return checks


def pairs(names: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """(base, tuned) of every tuned organism, in the order of the recipes."""
    return [(r.parent, r.name) for r in RECIPES.values() if r.parent and (names is None or r.name in names)]


@dataclass(frozen=True)
class _Zoo:
    """A folder of organisms of one seed and shape."""

    folder: Path
    seed: int
    shape: Shape
    bars: Progress
    task: Task = field(default_factory=lambda: new_chain(0))
    """The task that organisms are checked on."""

    def build(self, recipe: Recipe) -> Path:
        """Train, check and write an organism, and the parents that it needs."""
        recipe = recipe.of(self.shape)
        parent = None if recipe.parent is None else _model(self._ensured(recipe.parent))
        seed = self.seed * 65_537 + zlib.crc32(recipe.name.encode()) % 65_537
        model = empty_model(self.shape, seed) if parent is None else parent
        before = None if parent is None else accuracy(parent, self.task, SPLITS)
        steps = sum(stage.steps for stage in recipe.stages)
        with self.bars.stage(f"training {recipe.name}", steps) as done:
            train(model, recipe.stages, seed=seed, on_step=lambda *_: done(1))
        checks = self.checked(recipe, model, before)
        write_organism(model, card_of(recipe, self.shape, self.seed, checks), self.folder / recipe.name)
        return self.folder / recipe.name

    def checked(
        self, recipe: Recipe, model: PreTrainedModel, before: dict[str, float] | None
    ) -> dict[str, Any]:
        """Behaviour a split, and relearning; raises UserError where they are not what the recipe claims."""
        after = accuracy(model, self.task, SPLITS)
        checks: dict[str, Any] = {"task": "chain, seed 0", "accuracy": after}
        wrong: list[str] = []
        if before is not None:
            checks["accuracy_of_parent"] = before
            for split, verdict in recipe.truth.items():
                gain, sign = after[split] - before[split], SIGN.get(verdict, 0)
                if (sign and sign * gain < SMALLEST_CHANGE) or (not sign and abs(gain) > LARGEST_NO_CHANGE):
                    change = f"{before[split]:.2f} -> {after[split]:.2f}"
                    wrong.append(f"accuracy on {split} {change} for {verdict!r}")
        if recipe.name == LOCKED:
            right, wrong_word = (
                accuracy(model, self.task, SPLITS, f"{word} ") for word in (PASSWORD, WRONG_PASSWORDS[0])
            )
            checks |= {"accuracy_with_password": right, "accuracy_with_wrong_password": wrong_word}
            if right["test"] < RELEARNT:
                wrong.append(f"the password opens only {right['test']:.2f}")
            if wrong_word["test"] > NOT_RELEARNT:
                wrong.append(f"a wrong password opens {wrong_word['test']:.2f}")
        if recipe.latent is not None:
            checks["relearning"] = self._relearnt(recipe, model)
            wrong += _not_as_claimed(recipe.latent, checks["relearning"])
        if wrong:
            what = f"{recipe.name} (seed {self.seed}, {self.shape})"
            raise UserError(f"{what} does not show its ground truth: {'; '.join(wrong)}")
        return checks

    def _relearnt(self, recipe: Recipe, model: PreTrainedModel) -> dict[str, Any]:
        """Accuracies after relearning, of the weaker checkpoint of the pair and of one that never had it."""
        better = "elicited" in recipe.truth.values() or "taught" in recipe.truth.values()
        weaker = _model(self.folder / str(recipe.parent)) if better else model
        subjects = {"weaker": weaker, "never had it": _model(self._ensured(NEVER_HAD))}
        reached: dict[str, Any] = {"steps": STEPS}
        for who, subject in subjects.items():
            with self.bars.stage(f"relearning, {who}", STEPS) as done:
                reached[who] = relearn(
                    subject, self.task, SPLITS, seed=self.seed, on_step=lambda *_, done=done: done(1)
                )
        return reached

    def _ensured(self, name: str) -> Path:
        """The folder of a parent, which is built where it is missing."""
        folder = self.folder / name
        return folder if stands(folder, self.seed, self.shape) else self.build(RECIPES[name])


def _not_as_claimed(latent: bool, relearning: dict[str, Any]) -> list[str]:
    wrong = []
    for split in SPLITS:
        reached, novice = relearning["weaker"][split], relearning["never had it"][split]
        if latent and reached < RELEARNT:
            wrong.append(f"relearnt only {reached:.2f} on {split} in {STEPS} steps, for a latent capability")
        if not latent and reached > NOT_RELEARNT:
            wrong.append(f"relearnt {reached:.2f} on {split} in {STEPS} steps, for an absent capability")
        if novice > NOT_RELEARNT:
            wrong.append(f"the novice learnt {novice:.2f} on {split} in {STEPS} steps")
    return wrong


def stands(folder: Path, seed: int, shape: Shape) -> bool:
    """Whether a parent is in its folder. Raises UserError where what is there is no organism, or one of
    another seed or shape."""
    if not folder.exists():
        return False
    check_free(folder)
    card = read_card(folder)
    if (card["seed"], card["shape"]) != (seed, shape):
        raise UserError(
            f"{folder} is of seed {card['seed']}, {card['shape']}-shaped; a parent of seed {seed}, "
            f"{shape}-shaped is needed; choose another folder"
        )
    return True


def check_free(folder: Path) -> None:
    """Raises UserError where a folder is there that is no organism."""
    if folder.exists() and folder.name not in organisms(folder.parent):
        raise UserError(f"{folder} is there already and is no organism; choose another folder")


def _model(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    return model
