"""A selection of a store as rows to fit: batches from disk, as often as they are asked for."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.store import Store


@dataclass(frozen=True, eq=False)
class Stored:
    """All rows of a store, or of a selection of one, in order: `LogisticProbe().fit(Stored(store), y)`.

    Slices are the selection's hook points. Only a batch is in memory at a time; what fits should rather be
    fitted at once, as `store.read()`, since a fit takes some twenty passes.
    """

    store: Store
    size: int = 8192
    """Rows to a batch."""

    def __len__(self) -> int:
        return -(-len(self.store) // self.size)

    def __iter__(self) -> Iterator[Float[Tensor, "point b d"]]:
        """One pass over the rows."""
        for rows in torch.arange(len(self.store)).split(self.size):
            yield self.store.read(rows)
