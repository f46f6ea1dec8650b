"""What every long job does around its work: threads, layers, checks beforehand, and who was there."""

import hashlib
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from undertext.tasks.sites import reading_text
from undertext.tasks.task import Task

PACKAGES = ("undertext", "torch", "transformers", "transformer-lens", "numpy", "safetensors", "peft")


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """The body with so many of torch's CPU threads (None: as many as there are), put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def layers_of(checkpoint: Checkpoint, layers: Sequence[int] | None, most: int) -> list[int]:
    """The layers named, or at most `most`, evenly spaced, the last among them; UserError for one it lacks."""
    n = checkpoint.n_layers
    if layers is None:
        return sorted({round(x) for x in np.linspace(n - 1, 0, min(n, most))})
    if not layers or any(not 0 <= layer < n for layer in layers):
        raise UserError(f"expected layers from 0 to {n - 1}, got {list(layers)}")
    return sorted(set(layers))


def check_fits(checkpoint: Checkpoint, task: Task, split: str, *, room: int = 0) -> None:
    """Raise UserError where a text of this split will not fit the context, before any long work.

    `room` is how many tokens will be written after a prompt.
    """
    problems = task.split(split)
    checkpoint.encode([problem.prompt for problem in problems], room=room)
    checkpoint.encode([reading_text(problem) for problem in problems])


def task_described(task: Task) -> dict[str, Any]:
    """`name`, `description`, `fingerprint` and how many `problems` a split."""
    digest = hashlib.sha256(task.model_dump_json().encode()).hexdigest()[:16]
    counts = {split: len(task.split(split)) for split in task.splits}
    return {"name": task.name, "description": task.description, "fingerprint": digest, "problems": counts}


def versions() -> dict[str, str]:
    """Of Python and of the packages that figures hang on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
