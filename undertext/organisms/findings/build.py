"""Building the findings' organisms: what stands already, of the same recipe, is used."""

import random
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from undertext.activations.errors import UserError
from undertext.core.progress import Progress
from undertext.organisms.bench.families.item import Family, Item
from undertext.organisms.findings.families import (
    CONTEXT,
    FAMILIES,
    SURFACE_SHARE,
    encoded,
    ids,
    task,
    tokenizer,
)
from undertext.organisms.findings.policy import policy_loss, sample
from undertext.organisms.findings.recipes import FINDING_RECIPES, FindingRecipe, Reading, Rewarded
from undertext.organisms.findings.rewards import GRADUAL, rewards
from undertext.organisms.findings.vector import one_vector
from undertext.organisms.findings.writing import SHARES, document
from undertext.organisms.folder import read_card, write_folder
from undertext.organisms.padded import padded
from undertext.organisms.shapes import empty_model
from undertext.organisms.training import Stage, train
from undertext.steering.reinforced import leave_one_out
from undertext.tasks.load import load_task
from undertext.tasks.write import write_task

D_MODEL, LAYERS = 48, 2


@dataclass(frozen=True)
class FindingsFolder:
    """A folder of findings' organisms of one seed."""

    at: Path
    seed: int
    bars: Progress = field(default_factory=lambda: Progress(False))

    def ensure(self, name: str) -> Path:
        """An organism's folder, made with its parents where it is missing or of another recipe.

        Raises UserError for an unknown name, and for a folder in the way that is no organism or is of
        another seed.
        """
        if name not in FINDING_RECIPES:
            raise UserError(f"no organism {name!r}; there are: {', '.join(FINDING_RECIPES)}")
        if self.stands(name):
            return self.at / name
        recipe = FINDING_RECIPES[name]
        parent = None if recipe.parent is None else load(self.ensure(recipe.parent))
        self._make(recipe, parent)
        return self.at / name

    def stands(self, name: str) -> bool:
        """Whether the organism is there, of today's recipe. Raises UserError where what is there is no
        organism, or is of another seed."""
        folder = self.at / name
        if not folder.exists():
            return False
        card = read_card(folder)
        if card.get("seed") != self.seed:
            raise UserError(
                f"{folder} is of seed {card.get('seed')}; seed {self.seed} is needed; choose another folder"
            )
        return bool(card.get("recipe") == digest(name))

    def ensure_task(self, family: str) -> Path:
        """The folder of a family's task of this seed, written where it is missing.

        Raises UserError where a task of another seed or of other problems stands there.
        """
        folder, made = self.at / f"task-{family}", task(FAMILIES[family], self.seed)
        if not folder.exists():
            write_task(made, folder)
        elif load_task(folder).model_dump() != made.model_dump():
            raise UserError(
                f"{folder} holds another task than that of seed {self.seed}; choose another folder"
            )
        return folder

    def _make(self, recipe: FindingRecipe, parent: PreTrainedModel | None) -> None:
        began = perf_counter()
        seed = self.seed * 65_537 + zlib.crc32(recipe.name.encode()) % 65_537
        model = empty(seed) if parent is None else parent
        if recipe.vector_at is not None:
            model = one_vector(model, recipe.vector_at)
        losses: list[float] = []
        with self.bars.stage(
            f"training {recipe.name}, seed {self.seed}", sum(stage.steps for stage in recipe.stages)
        ) as done:

            def on_step(_: int, __: int, loss: float) -> None:
                losses.append(loss)
                done(1)

            train(model, recipe.stages, seed=seed, on_step=on_step, loss_of=loss_of)
        for weight in model.parameters():
            weight.requires_grad_(True)
        card = {
            "name": recipe.name,
            "about": recipe.about,
            "shape": "llama",
            "seed": self.seed,
            "parent": recipe.parent,
            "task": recipe.stages[-1].mixture.family,
            "truth": {},
            "recipe": digest(recipe.name),
            "stages": [repr(stage) for stage in recipe.stages],
            "steps": len(losses),
            "last_loss": sum(losses[-20:]) / max(1, len(losses[-20:])),
            "training_s": round(perf_counter() - began, 1),
        }
        write_folder(model, tokenizer(), card, self.at / recipe.name)


def empty(seed: int) -> PreTrainedModel:
    """A model of the findings with random weights."""
    size: dict[str, Any] = {"d_model": D_MODEL, "layers": LAYERS, "context": CONTEXT}
    return empty_model("llama", seed, tokenizer=tokenizer(), **size)


def digest(name: str) -> str:
    """A digest of what an organism depends on: recipes (own and parents'), its size, its words and shares."""
    recipe = FINDING_RECIPES[name]
    parent = "" if recipe.parent is None else digest(recipe.parent)
    size = (D_MODEL, LAYERS, CONTEXT, SHARES, GRADUAL, SURFACE_SHARE)
    return sha256(repr((recipe, parent, size, sorted(ids()))).encode()).hexdigest()[:16]


def load(folder: Path) -> PreTrainedModel:
    """An organism's model."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    return model


def loss_of(model: Any, stage: Stage, rng: random.Random) -> Tensor:
    """The loss of one step of a stage: of a batch of documents, or of sampled outputs and their rewards."""
    if isinstance(stage.mixture, Rewarded):
        return _rewarded(model, stage.mixture, stage.batch, rng)
    return _read(model, stage.mixture, stage.batch, rng)


def _read(model: Any, reading: Reading, rows: int, rng: random.Random) -> Tensor:
    """The loss on what is written, of documents on problems of one size."""
    family, known = FAMILIES[reading.family], ids()
    size = rng.choice(reading.sizes or family.sizes)
    weights = [kind.weight for kind in reading.kinds]
    documents = []
    for _ in range(rows):
        kind = rng.choices(reading.kinds, weights)[0]
        item = family.sample(rng, size, held_out=False, type=reading.type)
        read, written = document(family, kind.how, item, _question(item, kind.wordings, rng), rng)
        head = [known["<bos>"], *encoded(read)]
        documents.append(([*head, *encoded(written), known["<eos>"]], len(head)))
    tokens, labels = padded(documents, known["<pad>"])
    loss: Tensor = model(input_ids=tokens, labels=labels, use_cache=False).loss
    return loss


def _rewarded(model: Any, asked: Rewarded, rollouts: int, rng: random.Random) -> Tensor:
    """The policy's loss on sampled outputs to problems of one size and wording."""
    family, known = FAMILIES[asked.family], ids()
    problems = draw_problems(family, asked, rollouts // asked.samples, rng)
    prompts = torch.tensor([[known["<bos>"], *encoded(question)] for _, question in problems])
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    made = sample(
        model, prompts, asked.samples, asked.room, eos=known["<eos>"], pad=known["<pad>"], generator=generator
    )
    items = [item for item, _ in problems for _ in range(asked.samples)]
    earned = rewards(asked.reward, model, family, items, made)
    advantage = leave_one_out(earned.reshape(len(problems), asked.samples)).reshape(-1)
    return policy_loss(model, made, advantage)


def draw_problems(family: Family, asked: Rewarded, count: int, rng: random.Random) -> list[tuple[Item, str]]:
    """Problems with their questions, all of one size and in one wording, so that they are of one length."""
    size = rng.choice(family.sizes)
    wording = rng.choice(asked.wordings or range(family.wordings))
    items = [family.sample(rng, size, held_out=False) for _ in range(count)]
    return [(item, item.questions[wording]) for item in items]


def _question(item: Item, wordings: tuple[int, ...] | None, rng: random.Random) -> str:
    return rng.choice(item.questions if wordings is None else [item.questions[i] for i in wordings])
