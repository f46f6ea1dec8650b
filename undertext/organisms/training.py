"""Training small causal language models on mixtures of documents, from nothing or from a checkpoint."""

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from undertext.organisms.documents import TOKEN_ID, Mixture, document
from undertext.organisms.padded import padded

Model = TypeVar("Model", bound=torch.nn.Module)
SETTLED = 30


@dataclass(frozen=True)
class Stage:
    """A run of AdamW steps over one mixture; the rate warms up, then falls on a cosine."""

    mixture: Any
    """What is read: of the chain's organisms, a `Mixture`."""
    steps: int
    lr: float = 2e-3
    weight_decay: float = 0.0
    batch: int = 256
    warmup: int = 20
    final_lr_share: float = 0.1
    until: float = 0.0
    """The stage ends early once the mean loss of `SETTLED` steps is below this."""


def batch_of(
    mixture: Mixture, rows: int, rng: random.Random
) -> tuple[Int[Tensor, "row token"], Int[Tensor, "row token"]]:
    """Token ids and labels of one batch, all of one problem length; labels cover continuations only.

    Batches that mix lengths were tried and learn far more slowly; a length a batch is part of the recipe.
    """
    n = rng.choice(list(mixture.lengths))
    return padded([document(mixture, n, rng) for _ in range(rows)], TOKEN_ID["<pad>"])


def reading_loss(model: PreTrainedModel, stage: Stage, rng: random.Random) -> Tensor:
    """The loss of one batch of the chain's documents."""
    tokens, labels = batch_of(stage.mixture, stage.batch, rng)
    loss: Tensor = model(input_ids=tokens, labels=labels, use_cache=False).loss
    return loss


def train(
    model: Model,
    stages: Sequence[Stage],
    *,
    seed: int,
    on_step: Callable[[int, int, float], None] | None = None,
    loss_of: Callable[[Any, Stage, random.Random], Tensor] = reading_loss,
) -> Model:
    """Train `model` in place through `stages` in turn and return it; what does not want a gradient stays.

    `on_step(done, total, loss)` is called after every step; `loss_of` draws a stage's batch and makes its
    loss. The same seed, machine and thread count give the same weights.
    """
    rng = random.Random(seed)
    torch.manual_seed(seed)
    total, done = sum(stage.steps for stage in stages), 0
    model.train()
    for stage in stages:
        optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=stage.lr,
            weight_decay=stage.weight_decay,
            betas=(0.9, 0.98),
        )
        last: deque[float] = deque(maxlen=SETTLED)
        for step in range(stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = stage.lr * _rate(step, stage)
            loss = loss_of(model, stage, rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            done += 1
            last.append(loss.item())
            if on_step is not None:
                on_step(done, total, last[-1])
            if len(last) == SETTLED and sum(last) / SETTLED < stage.until:
                break
    return model.eval()


def _rate(step: int, stage: Stage) -> float:
    warm = min(1.0, (step + 1) / max(1, stage.warmup))
    fall = 0.5 * (1 + math.cos(math.pi * step / max(1, stage.steps)))
    return warm * (stage.final_lr_share + (1 - stage.final_lr_share) * fall)
