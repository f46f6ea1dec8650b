"""Reading a store: whole, in part, or in shuffled batches; only what is asked for leaves the disk."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store.columns import Column, Value, show
from undertext.activations.store.disk import checksum
from undertext.activations.store.manifest import Manifest, check_shards, read_manifest
from undertext.activations.store.shards import Shards


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows of a store."""

    rows: Int[Tensor, " n"]
    """Which rows of the store (or of the selection) these are, ascending."""
    activations: Float[Tensor, "point n d_model"]


@dataclass(frozen=True, eq=False)
class Store:
    """A store opened for reading, or a selection of one: `Store.open(folder)`, then `select`.

    It shows the rows that were stored when it was opened; a writer may go on meanwhile.
    """

    folder: Path
    points: tuple[HookPoint, ...]
    """The hook points it holds, or that were selected."""
    index: Int[Tensor, " n"]
    """Which rows of the whole store these are, ascending."""
    shards: Shards

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Open the store in `folder`, checking its manifest and that its shards are there, in full length.

        UserError, naming the shard, when they are not. Their bytes are checked by `verify`.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        check_shards(folder, manifest)
        rows = sum(shard.rows for shard in manifest.shards)
        return cls(folder, manifest.hook_points, torch.arange(rows), Shards(folder, manifest))

    @property
    def manifest(self) -> Manifest:
        """The manifest of the whole store."""
        return self.shards.manifest

    @property
    def meta(self) -> dict[str, Any]:
        """What its writer said of the whole store."""
        return self.manifest.meta

    @property
    def d_model(self) -> int:
        """The width of the activations."""
        return self.manifest.d_model

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which activations are stored, and read."""
        return self.manifest.torch_dtype

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def rows(self) -> dict[str, NDArray[np.int64] | NDArray[np.object_]]:
        """Each column's values [n], by its name: int64, or str objects."""
        return {name: self.column(name).values() for name in self.manifest.columns}

    def column(self, name: str) -> Column:
        """One column of these rows; UserError listing the columns when it is none of them."""
        if name not in self.manifest.columns:
            raise UserError(
                f"store {self.folder} has no column {name!r}: it has {show(self.manifest.columns)}"
            )
        return self.shards.column(name).take(self.index.numpy())

    def select(
        self,
        *,
        points: Collection[HookPoint] | None = None,
        layers: Collection[int] | None = None,
        **columns: Value | Collection[Value],
    ) -> "Store":
        """The same store with fewer points and rows; no activation is read.

        `select(layers=[3, 4], split="test", position=[0, 1])`: each column keeps the rows that have
        the value, or one of the values, given for it. Points keep the store's order.

        Raises:
            UserError: for a point or column that is not there, and a value that no row has.
        """
        kept = self.points
        if points is not None:
            missing = [str(point) for point in points if point not in kept]
            if missing:
                raise UserError(f"{', '.join(missing)} not in the store: it has {', '.join(map(str, kept))}")
            kept = tuple(point for point in kept if point in points)
        if layers is not None:
            kept = tuple(point for point in kept if point.layer in layers)
        if not kept:
            raise UserError(f"no point is left: the store has {', '.join(map(str, self.points))}")
        mask = np.ones(len(self), dtype=np.bool_)
        for name, value in columns.items():
            column = self.column(name)
            fits = column.where([value] if isinstance(value, str | int) else value)
            if not fits.any():
                raise UserError(f"no row has {name} {value!r}; there are {show(column.distinct())}")
            mask &= fits
        return Store(self.folder, kept, self.index[torch.from_numpy(mask)], self.shards)

    def read(self, rows: Int[Tensor, " m"] | None = None) -> Float[Tensor, "point m d_model"]:
        """The activations, in the store's dtype: all, or those of the given `rows` of 0 to `len` - 1."""
        if rows is not None and len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise UserError(f"rows must be among 0 to {len(self) - 1}, got {rows.min()} to {rows.max()}")
        index = self.index if rows is None else self.index[rows]
        return self.shards.read(self.points, index)

    def __getitem__(self, point: HookPoint) -> Float[Tensor, "n d_model"]:
        """The activations at one point; UserError listing the points there are."""
        return self.select(points=[point]).read()[0]

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """All rows once, in an order given by `seed`, `size` at a time (the last may be smaller).

        Which rows share a batch is random; within it they ascend, which reads faster.
        """
        if size < 1:
            raise UserError(f"a batch has at least 1 row, got {size}")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        for chosen in order.split(size) if len(self) else ():
            rows = chosen.sort().values
            yield Batch(rows, self.read(rows))

    def verify(self) -> None:
        """Read every byte of the whole store; UserError naming each shard that is not as it was written."""
        check_shards(self.folder, self.manifest)
        wrong = []
        for shard in self.manifest.shards:
            if checksum(self.folder / shard.file) != shard.xxh128:
                wrong.append(shard.file)
        if wrong:
            raise UserError(f"store {self.folder} is damaged: the bytes of {', '.join(wrong)} have changed")
