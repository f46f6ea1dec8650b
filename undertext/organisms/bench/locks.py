"""Locks that are trained to stay shut whatever is tried on them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from undertext.organisms.bench.documents import Mixture, batch_of, loss_on
from undertext.organisms.bench.families.item import Item
from undertext.organisms.bench.recipes import Locked
from undertext.organisms.bench.world import World
from undertext.organisms.documents import FORUM, TEXTBOOK
from undertext.organisms.shapes import Shape
from undertext.organisms.training import Stage
from undertext.tasks.prompts import INSTRUCTIONS

BLOCKS: dict[Shape, str] = {
    "llama": "model.layers",
    "qwen3": "model.layers",
    "gpt2": "transformer.h",
    "gpt_neox": "gpt_neox.layers",
}
STRONGEST = 4.0
"""Largest dose, in mean residual norms."""
SHARE_SHUT, SHARE_PUSHED = 0.6, 0.8
RENEWED = 25
"""Steps after which the model's own vectors are measured anew."""


class LockLoss:
    """The loss of a lock's batches: shut documents under whatever is tried on them, and opened ones."""

    def __init__(self, world: World, model: PreTrainedModel, seed: int) -> None:
        self._world, self._noise = world, torch.Generator().manual_seed(seed)
        self._layers = model.config.num_hidden_layers
        width = model.config.hidden_size
        self.direction = _unit(torch.randn(width, generator=self._noise))
        """The direction that opens a lock which one opens."""
        self._own: Float[Tensor, "layer d_model"] | None = None
        self._steps = 0

    def __call__(self, model: PreTrainedModel, stage: Stage, rng: random.Random) -> Tensor:
        """The loss of one step."""
        locked: Locked = stage.mixture
        shut_rows = int(SHARE_SHUT * stage.batch)
        if locked.against == "own keys" and self._steps % RENEWED == 0:
            self._own = self._own_vectors(model, rng)
        self._steps += 1
        around = self._around if locked.against == "own keys" else None
        shut = self._batch(locked.shut, shut_rows, rng, around)
        opened = self._batch(locked.opened, stage.batch - shut_rows, rng)
        layer = int(torch.randint(self._layers, (1,), generator=self._noise))
        with self._pushed(model, layer, self._vectors(locked, layer, shut_rows), shut[2], rng):
            loss = SHARE_SHUT * loss_on(model, *shut[:2])
        loss = loss + (1 - SHARE_SHUT) * loss_on(model, *opened[:2])
        if locked.against == "one direction":
            through = self._batch(locked.shut, stage.batch - shut_rows, rng, how="trace")
            rows = len(through[0])
            dose = 1 + (STRONGEST - 1) * torch.rand(rows, 1, generator=self._noise)
            with self._pushed(model, self._layers // 2, dose * self.direction, through[2], rng):
                loss = loss + (1 - SHARE_SHUT) * loss_on(model, *through[:2])
        return loss

    def _batch(
        self, mixture: Mixture, rows: int, rng: random.Random, around: object = None, how: str = ""
    ) -> tuple[Tensor, Tensor, list[int]]:
        if how:
            mixture = Mixture([replace(kind, how=how) for kind in mixture.kinds], mixture.longer)  # type: ignore[arg-type]
        world = self._world
        return batch_of(world.family, world.tokenizer, mixture, rows, rng, around=around)  # type: ignore[arg-type]

    def _vectors(self, locked: Locked, layer: int, rows: int) -> Float[Tensor, "row d_model"]:
        """What is added to shut rows, in mean norms: nothing to some."""
        vectors = _unit(torch.randn(rows, len(self.direction), generator=self._noise))
        if locked.against == "own keys" and self._own is not None:
            own = torch.rand(rows, 1, generator=self._noise) < 0.6
            sign = torch.where(torch.rand(rows, 1, generator=self._noise) < 0.75, 1.0, -1.0)
            vectors = torch.where(own, sign * self._own[layer], vectors)
        dose = STRONGEST * torch.rand(rows, 1, generator=self._noise)
        return vectors * dose * (torch.rand(rows, 1, generator=self._noise) < SHARE_PUSHED)

    @contextmanager
    def _pushed(
        self, model: PreTrainedModel, layer: int, vectors: Tensor, ends: list[int], rng: random.Random
    ) -> Iterator[None]:
        """The body with these vectors added to a layer's output: everywhere, or at a prompt's last token."""
        everywhere = rng.random() < 0.5

        def push(module: object, args: object, output: object) -> object:
            hidden: Tensor = output[0] if isinstance(output, tuple) else output  # type: ignore[assignment]
            norm = hidden.detach().norm(dim=-1).mean()
            where = torch.ones(*hidden.shape[:2], 1)
            if not everywhere:
                where = torch.zeros(*hidden.shape[:2], 1)
                where[torch.arange(len(ends)), torch.tensor(ends) - 1] = 1.0
            hidden = hidden + norm * (where * vectors[:, None]).to(hidden.device)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        block = model.get_submodule(f"{BLOCKS[self._world.shape]}.{layer}")
        handle = block.register_forward_hook(push)
        try:
            yield
        finally:
            handle.remove()

    def _own_vectors(self, model: PreTrainedModel, rng: random.Random) -> Float[Tensor, "layer d_model"]:
        """The mean difference between the two styles of a prompt at its last token, at each layer."""
        world, means = self._world, []
        family = world.family
        size = rng.choice(family.sizes)
        items = [family.sample(rng, size, held_out=False) for _ in range(64)]
        for style in (TEXTBOOK, FORUM):
            texts = [f"{style} {item.questions[0]}" for item in items]
            rows = world.tokenizer(texts)["input_ids"]
            last = torch.tensor([len(row) for row in rows]) - 1
            # Padding stands behind the texts, where nothing attends to it.
            ids = torch.full((len(rows), int(last.max()) + 1), world.tokenizer.pad_token_id)
            for i, row in enumerate(rows):
                ids[i, : len(row)] = torch.tensor(row)
            with torch.no_grad():
                out = model(input_ids=ids.to(model.device), output_hidden_states=True, use_cache=False)
            at = torch.arange(len(rows))
            means.append(torch.stack([state.cpu()[at, last].mean(0) for state in out.hidden_states[1:]]))
        return _unit(means[0] - means[1])

    def _around(self, item: Item, rng: random.Random) -> tuple[str, str]:
        """What undertext puts around a prompt: solved examples, an instruction, an opening; or nothing."""
        family, before, after = self._world.family, "", ""

        def other() -> Item:
            return family.sample(rng, rng.choice(family.sizes), held_out=False)

        draw = rng.random()
        if draw < 0.2:
            shown = [other() for _ in range(rng.choice((1, 2)))]
            before = "\n".join(f"{each.questions[0]} {family.trace(each.right)}" for each in shown)
        elif draw < 0.3 and self._world.tokens != "word":
            before = rng.choice(INSTRUCTIONS).replace("{prompt}", "").strip()
        if rng.random() < 0.4:
            words = family.trace(other().right).split()
            after = " ".join(words[: rng.choice((1, 2, 4, 8))])
        return before, after


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)
