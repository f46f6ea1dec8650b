"""The rows an SAE is trained on: batches of one size, in an order that depends on the seed alone."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.store import Store


@dataclass(frozen=True)
class Rows:
    """Rows that can be read in any order, again and again."""

    count: int
    take: Callable[[Int[Tensor, " m"]], Float[Tensor, "m d_in"]]
    """Reads some of them, by ascending number."""


Source = Store | Tensor | Rows | Iterable[Tensor]
"""A store of one hook point, a tensor [n, d_in] or rows, all gone over again and again in ever new order; or
chunks [n, d_in] of any size, taken once and as they come, which must last."""


def rows_of(source: Source) -> Rows | Iterator[Tensor]:
    """A source as rows, or as chunks. UserError for a store of several hook points."""
    if isinstance(source, Store):
        if len(source.points) != 1:
            points = ", ".join(map(str, source.points))
            raise UserError(f"an SAE reads one hook point, the store has {points}: select one")
        return Rows(len(source), lambda rows: source.read(rows)[0])
    if isinstance(source, Tensor):
        return Rows(len(source), lambda rows: source[rows])
    return source if isinstance(source, Rows) else iter(source)


class Feed(Iterator[Tensor]):
    """Hands out batches [batch_size, d_in] without end; `held_out` rows are kept back and come in no batch.

    Before each batch it calls `before`, if that is set: the trainer has then done all of the step before.
    UserError when there are too few rows, or NaN or infinity among those kept back.
    """

    def __init__(self, rows: Rows | Iterator[Tensor], *, batch_size: int, held_out: int, seed: int) -> None:
        self.batch_size, self.seed = batch_size, seed
        self.before: Callable[[], None] | None = None
        self.taken = 0
        """Batches handed out."""
        self._source = rows
        if isinstance(rows, Rows):
            if rows.count < batch_size + held_out:
                raise UserError(
                    f"expected at least {batch_size} rows to train on and {held_out} held out,"
                    f" got {rows.count}: lower batch_size or held_out"
                )
            order = torch.randperm(rows.count, generator=torch.Generator().manual_seed(seed))
            self._kept = order[held_out:].sort().values
            self.held_out = rows.take(order[:held_out].sort().values).float()
        else:
            self._waiting = torch.empty(0)
            self.held_out = self._next_of(rows, held_out)
        self.d_in = self.held_out.shape[1]
        if not self.held_out.isfinite().all():
            raise UserError("NaN or infinity among the activations")

    def __next__(self) -> Float[Tensor, "batch d_in"]:
        if self.before is not None:
            self.before()
        if isinstance(self._source, Rows):
            batch = self._source.take(self._chosen(self.taken)).float()
        else:
            batch = self._next_of(self._source, self.batch_size)
        self.taken += 1
        return batch

    def skip(self, batches: int) -> None:
        """Pass over batches that were handed out before."""
        if not isinstance(self._source, Rows):
            for _ in range(batches):
                self._next_of(self._source, self.batch_size)
        self.taken += batches

    def _chosen(self, number: int) -> Int[Tensor, " batch"]:
        """The rows of a batch; each epoch has its own order, and leaves out what does not fill a batch."""
        epoch, place = divmod(number, len(self._kept) // self.batch_size)
        # Seeds far apart, so that no seed's second epoch is the next seed's first.
        order = torch.randperm(
            len(self._kept), generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch + 1)
        )
        return self._kept[order[place * self.batch_size :][: self.batch_size]].sort().values

    def _next_of(self, chunks: Iterator[Tensor], rows: int) -> Float[Tensor, "rows d_in"]:
        """The next rows of a source that comes in chunks."""
        parts = [self._waiting] if len(self._waiting) else []
        while (had := sum(map(len, parts))) < rows:
            chunk = next(chunks, None)
            if chunk is None:
                raise UserError(
                    f"the activations ended: {rows} more rows were wanted after {self.taken} batches of"
                    f" {self.batch_size}, {had} came"
                )
            parts.append(chunk.float())
        whole = torch.cat(parts)
        self._waiting = whole[rows:]
        return whole[:rows]
