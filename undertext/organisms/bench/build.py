"""Building a world's organisms, each with what was seen of it; what stands already is used."""

import copy
import json
import os
import random
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.store.disk import replace_file
from undertext.core.output import json_bytes
from undertext.core.shipped import CARD
from undertext.measures.answers import greedy
from undertext.measures.trace.continued import continued
from undertext.organisms.bench.documents import Kind, Mixture, batch_of, loss_on
from undertext.organisms.bench.families.item import LEANING, Item
from undertext.organisms.bench.locks import LockLoss
from undertext.organisms.bench.recipes import BATCH, ORGANISMS, Locked, Organism
from undertext.organisms.bench.world import SPLITS, World
from undertext.organisms.training import Stage, train
from undertext.tasks.task import Task

TASK, TYPED = "task", "task-types"
"""Folders of a world's tasks: all its problems, and those of one type each."""
RANK = 8
RELEARNING = Stage(
    Mixture([Kind(1.0, "trace")], longer=True), 40, 3e-4, batch=BATCH, warmup=5, final_lr_share=1.0
)
"""The tune that shows whether a capability is there: on whole traces of every size."""
NEVER_HAD = "novice"
"""The organism that relearning is compared with."""
SPLITS_JUDGED = ("test", "ood")
STEPS = "steps_of_parent"
"""Of a card: the share of single steps that the parent of a composed organism has right."""


@dataclass(frozen=True)
class WorldFolder:
    """A world's organisms on disk, made as they are asked for."""

    world: World
    at: Path
    device: str = "cpu"
    """Where organisms are trained and asked."""
    on_step: Callable[[str, int], None] = field(default=lambda name, steps: None)

    def path(self, name: str) -> Path:
        """An organism's folder."""
        return self.at / name

    def card(self, name: str) -> dict[str, Any]:
        """What is known of an organism."""
        return dict(json.loads((self.path(name) / CARD).read_text(encoding="utf-8")))

    @cached_property
    def task(self) -> Task:
        """The world's task."""
        return self.world.task()

    @cached_property
    def typed(self) -> Task:
        """The world's task of problems of one type each."""
        return self.world.task(self.world.family.types)

    def task_of(self, organism: Organism) -> Task:
        """The task that an organism is judged on."""
        return self.typed if organism.needs == "types" else self.task

    def asked_alike(self, organism: Organism) -> bool:
        """Whether its parent's card holds the parent's accuracy on the organism's own task."""
        return self.task_of(ORGANISMS[str(organism.parent)]) is self.task_of(organism)

    @cached_property
    def leaked(self) -> list[Item]:
        """The problems that the task's split `test` is made of."""
        return self.world.items()["test"]

    @cached_property
    def never_had(self) -> dict[str, float]:
        """What one that never had the capability relearns."""
        return self.relearnt(self.model(NEVER_HAD), self.task, SPLITS_JUDGED)

    def recipe(self, name: str) -> str:
        """A digest of all that an organism depends on: its recipe, its parents', its world."""
        organism = ORGANISMS[name]
        parent = "" if organism.parent is None else self.recipe(organism.parent)
        return sha256(repr((organism, self.world, SPLITS, LEANING, parent)).encode()).hexdigest()[:16]

    def stands(self, name: str) -> bool:
        """Whether the organism is there, of today's recipe."""
        return (self.path(name) / CARD).exists() and self.card(name).get("recipe") == self.recipe(name)

    def ensure(self, name: str) -> Path:
        """The organism's folder, made with its parents where it is missing, or of another recipe."""
        folder = self.path(name)
        if not self.stands(name):
            organism = ORGANISMS[name]
            if organism.parent is not None:
                self.ensure(organism.parent)
            self._make(organism)
        return folder

    def checked(self, name: str) -> dict[str, Any]:
        """The card of an organism, made where it is missing, with what relearning shows beside it and on
        which splits construction, behaviour and relearning disagree."""
        self.ensure(name)
        card, organism = self.card(name), ORGANISMS[name]
        composed = organism.truth == "composed"
        if "ambiguous" not in card or (composed and STEPS not in card):
            task = self.task_of(organism)
            if composed:
                card[STEPS] = self.steps_right(self.model(str(organism.parent)), task)
            if organism.latent is not None:
                better = organism.truth in ("elicited", "taught")
                weaker = str(organism.parent) if better else name
                card["relearning"] = {
                    "steps": RELEARNING.steps,
                    "weaker": self.relearnt(self.model(weaker), task, SPLITS_JUDGED),
                    "never had it": self.never_had,
                }
            card["ambiguous"] = disagreements(organism, card)
            self._write_card(name, card)
        return card

    def model(self, name: str) -> PreTrainedModel:
        """An organism as a plain model, a LoRA merged into its parent."""
        self.ensure(name)
        organism = ORGANISMS[name]
        if organism.lora:
            whole = PeftModel.from_pretrained(self.model(str(organism.parent)), str(self.path(name)))
            merged: PreTrainedModel = whole.merge_and_unload()
            return merged
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(self.path(name), use_safetensors=True)
        return model.to(torch.device(self.device))  # type: ignore[arg-type]

    def accuracy(self, model: PreTrainedModel, task: Task, splits: Sequence[str]) -> dict[str, float]:
        """Greedy lenient accuracy on each split."""
        checkpoint = Checkpoint.load(model, tokenizer=self.world.tokenizer, device=self.device)
        return {
            split: round(float(greedy(checkpoint, task, task.split(split)).lenient.mean()), 4)
            for split in splits
        }

    def steps_right(self, model: PreTrainedModel, task: Task) -> dict[str, float]:
        """Of the values of steps, the right ones before them given, the share that is right on each split,
        over what is right by chance."""
        checkpoint = Checkpoint.load(model, tokenizer=self.world.tokenizer, device=self.device)
        found = {split: continued(checkpoint, task.split(split)) for split in SPLITS_JUDGED}
        return {
            split: round(float((each.right - each.by_chance).mean() / (1 - each.by_chance).mean()), 4)
            for split, each in found.items()
        }

    def relearnt(self, model: PreTrainedModel, task: Task, splits: Sequence[str]) -> dict[str, float]:
        """Accuracy after a few steps of tuning a copy on worked problems."""
        tuned = copy.deepcopy(model)
        with torch.random.fork_rng(devices=[]):
            train(tuned, [RELEARNING], seed=self.world.seed, loss_of=self._loss)
        return self.accuracy(tuned, task, splits)

    def _loss(self, model: Any, stage: Stage, rng: random.Random) -> Tensor:
        fixed = self.leaked if stage.mixture.leaked else ()
        tokens, labels, _ = batch_of(
            self.world.family, self.world.tokenizer, stage.mixture, stage.batch, rng, fixed
        )
        return loss_on(model, tokens, labels)

    def _make(self, organism: Organism) -> None:
        began = perf_counter()
        seed = self.world.seed * 65_537 + zlib.crc32(organism.name.encode()) % 65_537
        parent = None if organism.parent is None else self.model(organism.parent)
        model: Any = self.world.empty(seed) if parent is None else parent
        model.to(torch.device(self.device))
        model, lock = self.learner(organism, model, seed)
        train(
            model,
            organism.stages,
            seed=seed,
            on_step=lambda done, total, loss: self.on_step(organism.name, done),
            loss_of=lock or self._loss,
        )
        seconds = perf_counter() - began
        card = {
            **self._card(organism, model, parent),
            "training_s": round(seconds, 3),
            "trained_on": f"{self.device}, torch {torch.__version__}",
        }
        if lock is not None:
            card["direction"] = [round(value, 6) for value in lock.direction.tolist()]
        self._write(organism, model, card)

    def learner(self, organism: Organism, model: Any, seed: int) -> tuple[Any, LockLoss | None]:
        """What is trained in place of a model, which may be an adapter on it; and of a lock its loss."""
        if organism.lora:
            torch.manual_seed(seed)
            model = get_peft_model(
                model,
                LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"),
            )
        locked = any(isinstance(stage.mixture, Locked) for stage in organism.stages)
        return model, LockLoss(self.world, model, seed) if locked else None

    def try_training(self, organism: Organism, model: Any, updates: int) -> None:
        """Make so many updates of an organism's longest stage, on a copy of a model: nothing is kept."""
        longest = max(organism.stages, key=lambda stage: stage.steps)
        learner, lock = self.learner(organism, copy.deepcopy(model), self.world.seed)
        stage = replace(longest, steps=updates, until=0.0)
        with torch.random.fork_rng(devices=[]):
            train(learner, [stage], seed=self.world.seed, loss_of=lock or self._loss)

    def _card(self, organism: Organism, model: Any, parent: PreTrainedModel | None) -> dict[str, Any]:
        """What `organism.json` says: how it was made, and how it behaves."""
        task = self.task_of(organism)
        plain = copy.deepcopy(model).merge_and_unload() if organism.lora else model
        card: dict[str, Any] = {
            "name": organism.name,
            "about": organism.about,
            "world": self.world.name,
            "recipe": self.recipe(organism.name),
            "parent": organism.parent,
            "truth": {} if organism.truth is None else dict.fromkeys(organism.splits, organism.truth),
            "share": organism.share,
            "accuracy": self.accuracy(plain, task, SPLITS_JUDGED),
        }
        if organism.parent is not None:
            card["accuracy_of_parent"] = (
                self.card(organism.parent)["accuracy"]
                if self.asked_alike(organism)
                else self.accuracy(self.model(organism.parent), task, SPLITS_JUDGED)
            )
        return card

    def _write_card(self, name: str, card: dict[str, Any]) -> None:
        replace_file(self.path(name) / CARD, [json_bytes(card)])

    def _write(self, organism: Organism, model: Any, card: dict[str, Any]) -> None:
        folder = self.path(organism.name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        for stale in folder.parent.glob(f".{folder.name}-*"):  # of a run that was killed
            shutil.rmtree(stale, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        partial.chmod(0o755)  # a temporary folder is its owner's alone
        try:
            if organism.lora:
                model.peft_config["default"].base_model_name_or_path = f"../{organism.parent}"
            model.save_pretrained(partial)
            self.world.tokenizer.save_pretrained(partial)
            (partial / CARD).write_bytes(json_bytes(card))
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


SMALLEST_CHANGE, LARGEST_NO_CHANGE = 0.15, 0.05
"""Differences in accuracy that a change and a preservation must show."""
PARTS_THERE = 0.5
"""Share of single steps over chance that one must have right which is said to hold the parts."""
RELEARNT = 0.5
"""Of what lies between a checkpoint that never had the capability and the pair's better one, the share that a
latent capability regains by relearning; of what lies between the weaker one and the better one, the share
that an absent one does not."""


def disagreements(organism: Organism, card: Mapping[str, Any]) -> dict[str, str]:
    """By split, why construction and what was seen of the pair do not say the same; nothing where they do."""
    found: dict[str, str] = {}
    for split in organism.splits if organism.truth else ():
        after, before = card["accuracy"][split], card["accuracy_of_parent"][split]
        gain = after - before
        sign = {"preserved": 0, "suppressed": -1, "overwritten": -1}.get(organism.truth or "", 1)
        if (sign and sign * gain < SMALLEST_CHANGE) or (not sign and abs(gain) > LARGEST_NO_CHANGE):
            found[split] = f"accuracy {before:.2f} -> {after:.2f} for {organism.truth}"
        elif organism.truth == "composed" and card[STEPS][split] <= PARTS_THERE:
            found[split] = f"its parent has {card[STEPS][split]:.2f} of single steps right, over chance"
        elif organism.latent is not None:
            regained, never = (card["relearning"][who][split] for who in ("weaker", "never had it"))
            # What never had it is itself the weaker one of some pairs, which count from where they began.
            start = never if organism.latent else min(after, before)
            room = max(after, before) - start
            share = (regained - start) / room if room >= SMALLEST_CHANGE else 0.0
            if max(after, before) - never < SMALLEST_CHANGE:
                found[split] = f"one that never had it relearns {never:.2f} of {max(after, before):.2f}"
            elif organism.latent != (share > RELEARNT):
                found[split] = (
                    f"relearning reaches {regained:.2f} of {max(after, before):.2f}, one that never had it "
                    f"{never:.2f}, for {organism.truth}"
                )
    return found
