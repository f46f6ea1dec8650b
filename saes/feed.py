"""The rows an SAE is trained on: batches of one size, in an order that hangs on the seed alone."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from activations.errors import UserError
from activations.store import Store

Source = Store | Tensor | Iterable[Tensor]
"""A store of one hook point or a tensor [n, d_in], both gone over again and again in ever new order; or chunks
[n, d_in] of any size, taken as they come, which must last."""


class Feed(Iterator[Tensor]):
    """Hands out batches [batch_size, d_in]; `held_out` rows are kept back and come in no batch.

    Before each batch it calls `before`, if that is set: the trainer has then done all of the last step.
    """

    def __init__(self, source: Source, *, batch_size: int, held_out: int, seed: int) -> None:
        self.batch_size, self.seed = batch_size, seed
        self.before: Callable[[], None] | None = None
        self.taken = 0
        """Batches handed out."""
        if isinstance(source, Store | Tensor):
            if isinstance(source, Store) and len(source.points) != 1:
                points = ", ".join(map(str, source.points))
                raise UserError(f"an SAE reads one hook point, the store has {points}: select one")
            if len(source) < batch_size + held_out:
                raise UserError(
                    f"expected at least {batch_size} rows to train on and {held_out} held out,"
                    f" got {len(source)}: lower batch_size or held_out"
                )
            order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
            kept, back = order[held_out:].sort().values, order[:held_out].sort().values
            if isinstance(source, Store):
                self.held_out = source.read(back)[0].float()
                rest = replace(source, index=source.index[kept])
                self._batches = self._epochs(lambda epoch: (b.activations[0] for b in rest.batches(batch_size, epoch)))
            else:
                self.held_out = source[back].float()
                self._batches = self._epochs(lambda epoch: _shuffled(source, kept, batch_size, epoch))
        else:
            chunks = iter(source)
            self.held_out, rest_of = _take(chunks, held_out)
            self._batches = _cut(rest_of, chunks, batch_size)
        self.d_in = self.held_out.shape[1]
        if not self.held_out.isfinite().all():
            raise UserError("NaN or infinity among the activations")

    def __next__(self) -> Float[Tensor, "batch d_in"]:
        if self.before is not None:
            self.before()
        batch = next(self._batches, None)
        if batch is None:
            raise UserError(f"the activations ended after {self.taken} batches of {self.batch_size} rows")
        self.taken += 1
        return batch.float()

    def skip(self, batches: int) -> None:
        """Pass over batches that were handed out before."""
        for _ in range(batches):
            if next(self._batches, None) is None:
                raise UserError(f"the activations ended among the {batches} batches already trained on")
        self.taken += batches

    def _epochs(self, epoch: Callable[[int], Iterator[Tensor]]) -> Iterator[Tensor]:
        number = 0
        while True:
            # Consecutive numbers would give the next seed's epochs: the seed is mixed in.
            drawn = torch.Generator().manual_seed(self.seed).initial_seed() * 1_000_003 + number
            for batch in epoch(drawn):
                if len(batch) == self.batch_size:
                    yield batch
            number += 1


def _shuffled(source: Tensor, kept: Tensor, size: int, seed: int) -> Iterator[Tensor]:
    order = kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))]
    return (source[chosen] for chosen in order.split(size))


def _take(chunks: Iterator[Tensor], rows: int) -> tuple[Tensor, Tensor]:
    """The first rows, and what is left of the chunk that the last of them came in."""
    got: list[Tensor] = []
    while sum(map(len, got)) < rows:
        chunk = next(chunks, None)
        if chunk is None:
            raise UserError(f"expected {rows} rows to hold out, the activations ended after {sum(map(len, got))}")
        got.append(chunk)
    whole = torch.cat(got).float()
    return whole[:rows].clone(), whole[rows:]


def _cut(first: Tensor, chunks: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    waiting = first
    while True:
        while len(waiting) < size:
            chunk = next(chunks, None)
            if chunk is None:
                return
            waiting = torch.cat((waiting, chunk.float()))
        batch, waiting = waiting[:size], waiting[size:]
        yield batch
