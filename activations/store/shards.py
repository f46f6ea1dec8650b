"""The shards of a store as one row of rows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from undertext.activations.hookpoint import HookPoint
from undertext.activations.store.columns import Column
from undertext.activations.store.manifest import Manifest
from undertext.activations.store.memory import new_tensor
from undertext.activations.store.shard import Shard

THREADS, THREADED = 4, 8 << 20  # for reading, and from how many bytes on


@dataclass(frozen=True, eq=False)
class Shards:
    """All shards of a store; each is opened when something of it is first read."""

    folder: Path
    manifest: Manifest
    _columns: dict[str, Column] = field(default_factory=dict)

    @cached_property
    def _opened(self) -> dict[int, Shard]:
        return {}

    @cached_property
    def _ends(self) -> Int[Tensor, " shard"]:
        """The number of rows up to the end of each shard."""
        return torch.tensor([shard.rows for shard in self.manifest.shards], dtype=torch.long).cumsum(0)

    def shard(self, place: int) -> Shard:
        """One shard; UserError naming it when it cannot be opened."""
        if place not in self._opened:
            self._opened[place] = Shard(self.folder, self.manifest.shards[place], self.manifest)
        return self._opened[place]

    def column(self, name: str) -> Column:
        """A column of all rows; it must be one of the manifest's."""
        if name not in self._columns:
            parts = [self.shard(place).column(name) for place in range(len(self.manifest.shards))]
            self._columns[name] = Column.join(parts)
        return self._columns[name]

    def read(self, points: Sequence[HookPoint], index: Int[Tensor, " n"]) -> Float[Tensor, "point n d_model"]:
        """The activations of the given rows of the whole store, in the order given."""
        shape = (len(points), len(index), self.manifest.d_model)
        out = new_tensor(shape, self.manifest.torch_dtype)
        ascending = bool((index.diff() > 0).all())
        order = None if ascending else index.argsort()
        ordered = index if order is None else index[order]
        ends = torch.searchsorted(ordered, self._ends).tolist()
        runs: list[_Run] = []
        start = 0
        for place, end in enumerate(ends):
            if end == start:
                continue
            first = int(self._ends[place]) - self.manifest.shards[place].rows
            local = ordered[start:end] - first
            for row, point in enumerate(points):
                shard = self.shard(place)
                if order is not None:
                    rows = _plain(shard.activations(str(point)))[local.numpy()]
                    _plain(out[row])[order[start:end].numpy()] = rows
                elif int(local[-1] - local[0]) == end - start - 1:
                    runs.append(_Run(shard, str(point), int(local[0]), out[row, start:end]))
                else:
                    torch.index_select(shard.activations(str(point)), 0, local, out=out[row, start:end])
            start = end
        # Several reads at once keep the disk busy; for a few bytes, threads cost more than they bring.
        if sum(run.out.nbytes for run in runs) < THREADED:
            for run in runs:
                run.copy()
        else:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(_Run.copy, runs))
        return out


class _Run(NamedTuple):
    """Successive rows of one shard at one point, and where they go."""

    shard: Shard
    point: str
    first: int
    out: Float[Tensor, "m d_model"]

    def copy(self) -> None:
        self.shard.copy_run(self.point, self.first, self.out)


def _plain(rows: Float[Tensor, "n d_model"]) -> NDArray[np.generic]:
    """The same memory as numpy sees it (as integers where numpy knows no such floats): it gathers faster."""
    return rows.view({2: torch.int16, 4: torch.int32}[rows.itemsize]).numpy()
