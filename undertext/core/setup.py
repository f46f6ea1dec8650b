"""What every job does around its work: threads, checkpoints, layers, and who was there."""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.pair import Pair, load_checkpoint, load_pair
from undertext.activations.weights import Room
from undertext.core.code import code_digest
from undertext.core.config import Dtype, PairConfig
from undertext.core.shipped import ZOO, zoo

PACKAGES = (
    "torch",
    "transformers",
    "transformer-lens",
    "sae-lens",
    "numpy",
    "safetensors",
    "peft",
)


opened_on: ContextVar[str | None] = ContextVar("opened_on", default=None)
"""Device that all is put on, whatever the config says, where other processes run the parts."""


class LastOpened:
    """The checkpoint that a process opened last, kept from one part to the next."""

    def __init__(self) -> None:
        self._last: tuple[str, Checkpoint] | None = None

    def open(self, key: str, read: Callable[[], Checkpoint]) -> Checkpoint:
        """The checkpoint of this key; the one before is let go first."""
        if self._last is None or self._last[0] != key:
            self._last = None  # before the next is read, so that two never share the memory
            self._last = (key, read())
        return self._last[1]

    def forget(self) -> None:
        """Give the memory back."""
        self._last = None


last_opened: ContextVar[LastOpened | None] = ContextVar("last_opened", default=None)
"""Where a process that runs parts of other processes' jobs keeps a checkpoint; None keeps none."""


def device_here(device: str) -> str:
    """The device on which this process puts what the config wants on `device`."""
    return opened_on.get() or device


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """The body with so many of torch's CPU threads (None: as many as there are), put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def open_checkpoint(
    source: Any, *, device: str = "cpu", dtype: Dtype = "float32", base: Any = None
) -> Checkpoint:
    """A Checkpoint as it is; `zoo:NAME` as the shipped organism; all else through `Checkpoint.load`.

    `base`, of the same kinds, is what an adapter is merged into where the base that it names is not here.
    Raises UserError as `Checkpoint.load` and `zoo` do.
    """

    def read() -> Checkpoint:
        options = {"device": device_here(device), "dtype": _torch(dtype)}
        return load_checkpoint(_placed(source), _placed(base), **options)

    last = last_opened.get()
    if last is None or not isinstance(source, str | Path):
        return _named(read(), source)
    return _named(last.open(repr((source, base, device, dtype)), read), source)


def open_pair(
    base: Any, tuned: Any, config: PairConfig, texts: Iterable[str] = (), *, own_tokens: bool = False
) -> Pair:
    """Both checkpoints, opened, and found to be of one model and to read `texts` alike, unless each may read
    them in tokens of its own.

    Each is whatever `open_checkpoint` takes; an adapter's base may be the other of the two. With
    `one_at_a_time` they share one room (`Checkpoint.load`). Raises UserError listing every difference.
    """
    room = Room() if config.one_at_a_time else None
    options = {"device": device_here(config.device), "dtype": _torch(config.dtype), "room": room}
    pair = load_pair(_placed(base), _placed(tuned), texts=texts, own_tokens=own_tokens, **options)
    return Pair(_named(pair.base, base), _named(pair.tuned, tuned))


def noted(notes: Iterable[str]) -> dict[str, list[str]]:
    """Notes on how checkpoints were loaded, for run.json and the page made of it; nothing where there are
    none."""
    listed = list(dict.fromkeys(notes))
    return {"notes": listed} if listed else {}


def _torch(dtype: Dtype) -> torch.dtype | Literal["auto"]:
    return "auto" if dtype == "auto" else getattr(torch, dtype)


def _of_zoo(source: Any) -> bool:
    return isinstance(source, str) and source.startswith(ZOO)


def _placed(source: Any) -> Any:
    return zoo(source.removeprefix(ZOO)) if _of_zoo(source) else source


def _named(checkpoint: Checkpoint, source: Any) -> Checkpoint:
    """With the name that the user gave, which is what a report says."""
    return replace(checkpoint, name=source) if _of_zoo(source) else checkpoint


def layers_of(checkpoint: Checkpoint, layers: Sequence[int] | None, most: int) -> list[int]:
    """The layers named, or at most `most`, evenly spaced, the last among them; UserError for one it lacks."""
    n = checkpoint.n_layers
    if layers is None:
        return sorted({round(x) for x in np.linspace(n - 1, 0, min(n, most))})
    if not layers or any(not 0 <= layer < n for layer in layers):
        raise UserError(f"expected layers from 0 to {n - 1}, got {list(layers)}")
    return sorted(set(layers))


def checkpoint_record(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint in a report."""
    return {
        "name": checkpoint.name,
        "fingerprint": checkpoint.fingerprint,
        "n_layers": checkpoint.n_layers,
        "d_model": checkpoint.d_model,
        "d_vocab": checkpoint.d_vocab,
        "dtype": str(checkpoint.dtype).removeprefix("torch."),
    }


def versions() -> dict[str, str]:
    """Versions of Python, of this package with a digest of its code, and of those that results depend on."""
    installed = {
        "python": platform.python_version(),
        "undertext": f"{import_module('undertext').__version__}+code.{code_digest()}",
    }
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:  # sae-lens is an extra
            continue
    return installed
