"""Rows that are the same whenever they are made, and what a store of them must hold."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.killing import Step
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


def fill(
    folder: Path, units: int, *, shard_rows: int = 5, stepped: Step = lambda: None, **options: Any
) -> Store:
    """Append what the store lacks of the first `units` units, `stepped` after each; the store, opened."""
    with StoreWriter(folder, POINTS, WIDTH, shard_rows=shard_rows, **options) as writer:
        for number in range(units):
            if f"p{number}" not in writer.done:
                writer.append(*unit(number))
                stepped()
    return Store.open(folder)


def same(store: Store, other: Store) -> bool:
    """Whether the two hold the same rows, bit for bit, and both are sound."""
    store.verify()
    other.verify()
    assert store.points == other.points
    assert store.rows.keys() == other.rows.keys()
    columns = all((store.rows[name] == other.rows[name]).all() for name in store.rows)
    return columns and store.read().numpy(force=True).tobytes() == other.read().numpy(force=True).tobytes()
