"""Two stores of the same tokens, from a base and a tuned checkpoint, read side by side."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store.capturing import TOKENS
from undertext.activations.store.columns import Value, show
from undertext.activations.store.reader import Store


@dataclass(frozen=True, eq=False)
class PairBatch:
    """The same rows of both stores."""

    rows: Int[Tensor, " n"]
    base: Float[Tensor, "point n d_model"]
    tuned: Float[Tensor, "point n d_model"]


@dataclass(frozen=True, eq=False)
class StorePair:
    """Two stores whose rows stand for the same tokens, one for one."""

    base: Store
    tuned: Store

    def __len__(self) -> int:
        return len(self.base)

    @property
    def points(self) -> tuple[HookPoint, ...]:
        """The hook points both hold."""
        return self.base.points

    def select(
        self,
        *,
        points: Collection[HookPoint] | None = None,
        layers: Collection[int] | None = None,
        **columns: Value | Collection[Value],
    ) -> "StorePair":
        """The same selection of both; see `Store.select`."""
        base = self.base.select(points=points, layers=layers, **columns)
        # The columns are equal, so the base's rows are the tuned store's too.
        return StorePair(base, Store(self.tuned.folder, base.points, base.index, self.tuned.shards))

    def batches(self, size: int, seed: int) -> Iterator[PairBatch]:
        """The same shuffled batches of both; see `Store.batches`."""
        for batch in self.base.batches(size, seed):
            yield PairBatch(batch.rows, batch.activations, self.tuned.read(batch.rows))


def open_pair(base: str | Path, tuned: str | Path) -> StorePair:
    """Open two stores whose rows are the same tokens of the same prompts, in the same order.

    Raises:
        UserError: when either cannot be opened, has no `tokens` column, or the two differ in points,
            width, number of rows, columns, or any row's value in any column (the first is named).
    """
    pair = StorePair(Store.open(base), Store.open(tuned))
    unlike = f"stores {base} and {tuned} are not aligned"
    for name in ("points", "d_model", "columns"):
        ours, theirs = getattr(pair.base.manifest, name), getattr(pair.tuned.manifest, name)
        if ours != theirs:
            raise UserError(f"{unlike}: {name} are {ours} in the one, {theirs} in the other")
    if len(pair.base) != len(pair.tuned):
        raise UserError(f"{unlike}: they have {len(pair.base)} and {len(pair.tuned)} rows")
    if len(pair.base) and TOKENS not in pair.base.manifest.columns:
        raise UserError(
            f"{unlike}: there is no column {TOKENS!r} (the fingerprint of each row's tokens) "
            f"among {show(pair.base.manifest.columns)}"
        )
    for name, ours in pair.base.rows.items():
        differ = (ours != pair.tuned.rows[name]).nonzero()[0]
        if len(differ):
            row = int(differ[0])
            values = f"{ours[row]!r} in the one, {pair.tuned.rows[name][row]!r} in the other"
            raise UserError(f"{unlike}: {name} of row {row} is {values} ({len(differ)} rows differ)")
    return pair
