"""Rows that are the same whenever they are made, and what a store of them must hold."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from undertext.activations import HookPoint
from undertext.activations.store import Store, StoreWriter

POINTS = (HookPoint(0, "resid_post"), HookPoint(1, "resid_post"), HookPoint(1, "mlp_out"))
WIDTH = 8


def unit(number: int) -> tuple[Tensor, dict[str, Any]]:
    """One problem's rows: activations [3, 1 to 4, 8] and columns."""
    n = number % 4 + 1
    activations = torch.randn(3, n, WIDTH, generator=torch.Generator().manual_seed(number))
    rows = {
        "problem": [f"p{number}"] * n,
        "split": ["test" if number % 3 else "train"] * n,
        "position": torch.arange(n),
        "tokens": [number * 7] * n,
    }
    return activations, rows


def fill(folder: Path, units: int, *, shard_rows: int = 5, wait: float = 0.0, **options: Any) -> Store:
    """Append what the store lacks of the first `units` units; the store, opened."""
    with StoreWriter(folder, POINTS, WIDTH, shard_rows=shard_rows, **options) as writer:
        for number in range(units):
            if f"p{number}" not in writer.done:
                writer.append(*unit(number))
                time.sleep(wait)
    return Store.open(folder)


def same(store: Store, other: Store) -> bool:
    """Whether the two hold the same rows, bit for bit, and both are sound."""
    store.verify()
    other.verify()
    assert store.points == other.points
    assert store.rows.keys() == other.rows.keys()
    columns = all((store.rows[name] == other.rows[name]).all() for name in store.rows)
    return columns and store.read().numpy(force=True).tobytes() == other.read().numpy(force=True).tobytes()


def forked(work: Callable[[], object]) -> int:
    """The process id of a copy of this process that does `work` and ends; nothing of it outlives a kill."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def killed_after(
    seconds: float, work: Callable[[], object], until: Callable[[], bool] = lambda: True
) -> None:
    """Do `work` in another process and kill it (SIGKILL) after `seconds`, and not before `until` holds."""
    child = forked(work)
    time.sleep(seconds)
    while not until():
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the work ended before it was killed"


def stored(folder: Path) -> bool:
    """Whether the store holds any row."""
    return (folder / "manifest.json").exists() and len(Store.open(folder)) > 0
