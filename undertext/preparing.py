"""What every job does before it measures: loads, checks what fits, chooses layers and splits."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from undertext.config import SteerConfig
from undertext.tasks.sites import reading_text
from undertext.tasks.task import Task, fill

VECTORS_FROM = "train"
FITTING = (VECTORS_FROM, "dev")


def loaded(source: Any, config: SteerConfig) -> Checkpoint:
    """A checkpoint as it is, or loaded from whatever `Checkpoint.load` takes."""
    return source if isinstance(source, Checkpoint) else Checkpoint.load(source, device=config.device)


def splits_of(task: Task, config: SteerConfig) -> list[str]:
    """The splits to report on; UserError for one that the task lacks, or that something is chosen on."""
    named = list(config.splits) if config.splits is not None else [s for s in task.splits if s not in FITTING]
    if not named:
        raise UserError("expected a split to judge or more, got none")
    for split in named:
        task.split(split)
        if split in FITTING:
            raise UserError(
                f"probes are fitted on train and settings chosen on dev: {split!r} cannot be judged"
            )
    return list(dict.fromkeys(named))


def check_fits(checkpoint: Checkpoint, task: Task, split: str) -> None:
    """Raise UserError where a text of this split will not fit the context, before any long work."""
    problems = task.split(split)
    checkpoint.encode([problem.prompt for problem in problems], room=task.max_new_tokens)
    checkpoint.encode([reading_text(problem) for problem in problems])
    if split == VECTORS_FROM:
        for contrast in task.contrasts:
            for side in (contrast.positive, contrast.negative):
                checkpoint.encode([fill(side, problem.prompt) for problem in problems])


def layers_of(checkpoint: Checkpoint, config: SteerConfig) -> list[int]:
    """The layers to act at; UserError for one that is not there."""
    n = checkpoint.n_layers
    if config.layers is None:
        return sorted({round(x) for x in np.linspace(n - 1, 0, min(n, config.max_layers))})
    if not config.layers or any(not 0 <= layer < n for layer in config.layers):
        raise UserError(f"expected layers from 0 to {n - 1}, got {list(config.layers)}")
    return sorted(set(config.layers))


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """torch's thread count inside the block; None leaves it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def described(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint in a report."""
    return {
        "name": checkpoint.name,
        "fingerprint": checkpoint.fingerprint,
        "n_layers": checkpoint.n_layers,
        "d_model": checkpoint.d_model,
        "d_vocab": checkpoint.d_vocab,
    }


def task_described(task: Task) -> dict[str, Any]:
    """A task in a report."""
    digest = hashlib.sha256(task.model_dump_json().encode()).hexdigest()[:16]
    counts = {split: len(task.split(split)) for split in task.splits}
    return {"name": task.name, "description": task.description, "fingerprint": digest, "problems": counts}
