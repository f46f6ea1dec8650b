"""The shards of a store as one row of rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.hookpoint import HookPoint
from activations.store.columns import Column
from activations.store.manifest import Manifest
from activations.store.memory import new_tensor
from activations.store.shard import Shard


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
        start = 0
        for place, end in enumerate(ends):
            if end == start:
                continue
            first = int(self._ends[place]) - self.manifest.shards[place].rows
            local = ordered[start:end] - first
            for row, point in enumerate(points):
                shard, target = self.shard(place), out[row, start:end]
                if order is not None:
                    rows = shard.activations(str(point))[local]
                    out[row].index_copy_(0, order[start:end], rows)
                elif int(local[-1] - local[0]) == end - start - 1:
                    shard.copy_run(str(point), int(local[0]), target)
                else:
                    torch.index_select(shard.activations(str(point)), 0, local, out=target)
            start = end
        return out
