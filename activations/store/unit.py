"""What one append brings, checked and copied."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.store.columns import Column, Values, show
from undertext.activations.store.manifest import Kind, Manifest
from undertext.activations.store.memory import Room

RESERVED = ("points", "layers")  # what `Store.select` calls its own


@dataclass(frozen=True, eq=False)
class Unit:
    """Rows that were appended together, and so are stored together or not at all."""

    activations: Float[Tensor, "point n d_model"]
    """On the CPU, contiguous, in the store's dtype."""
    columns: dict[str, Column]

    def __len__(self) -> int:
        return self.activations.shape[1]

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each column holds."""
        return {name: column.kind for name, column in self.columns.items()}


def make_unit(
    manifest: Manifest, kinds: Mapping[str, Kind], room: Room, activations: Tensor, rows: Mapping[str, Values]
) -> Unit:
    """A copy, in `room`, of rows [point, n, d_model], with their columns; `kinds`: the store's so far.

    UserError when shapes or columns are others than the store's, or when a value is not finite in its dtype.
    """
    columns = {name: Column.of(name, values) for name, values in rows.items()}
    bad = [name for name in columns if not re.fullmatch(r"[a-z]\w*", name, re.ASCII) or name in RESERVED]
    if bad:
        raise UserError(f"a column is named in lower case, and not {' or '.join(RESERVED)}; got {show(bad)}")
    n = len(next(iter(columns.values()))) if columns else 0
    wanted = (len(manifest.points), n, manifest.d_model)
    if tuple(activations.shape) != wanted or any(len(column) != n for column in columns.values()):
        lengths = ", ".join(f"{name}: {len(column)}" for name, column in columns.items())
        raise UserError(
            f"expected activations [{wanted[0]}, n, {wanted[2]}] and columns of n rows, "
            f"got {list(activations.shape)} and {lengths or 'no columns'}"
        )
    # A copy even where nothing changes: the caller may write into its own tensor again.
    kept = room.take(wanted, manifest.torch_dtype).copy_(activations.detach())
    unit = Unit(kept, columns)
    if manifest.key not in columns or (n and kinds and unit.kinds != kinds):
        asked = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or manifest.key
        got = ", ".join(f"{name} ({kind})" for name, kind in unit.kinds.items())
        raise UserError(f"expected the columns {asked}; got {got or 'none'}")
    for place, point in enumerate(manifest.points):
        # The extremes are NaN when any value is, and found in one pass.
        if n and not torch.stack(tuple(kept[place].aminmax())).isfinite().all():
            raise UserError(f"NaN or infinity at {point}, as {manifest.dtype}: nothing of this was stored")
    return unit
