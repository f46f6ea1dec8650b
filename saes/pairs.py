"""The same rows of base and tuned, to be read side by side or one less the other."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store import StorePair
from undertext.saes.feed import Rows

PairSource = StorePair | tuple[Float[Tensor, "point n d_model"], Float[Tensor, "point n d_model"]]
"""Two stores of the same tokens, or tensors [point, n, d_model] of base and of tuned."""


@dataclass(frozen=True)
class PairRows:
    """Rows of both that can be read in any order."""

    count: int
    points: tuple[HookPoint, ...]
    """None where they came as tensors without names."""
    read: Callable[[Int[Tensor, " m"]], Float[Tensor, "model point m d_model"]]
    """Reads some of them, by ascending number."""


def pair_rows(pair: PairSource, points: tuple[HookPoint, ...] = ()) -> PairRows:
    """A source as rows; `points` names those of tensors. UserError when the two differ in shape."""
    if isinstance(pair, StorePair):
        stores = (pair.base, pair.tuned)
        return PairRows(
            len(pair), pair.points, lambda rows: torch.stack([store.read(rows) for store in stores]).float()
        )
    if pair[0].shape != pair[1].shape:
        shapes = " and ".join(str(list(part.shape)) for part in pair)
        raise UserError(f"expected the same rows of base and tuned, [point, n, d_model] both, got {shapes}")
    if points and len(points) != len(pair[0]):
        raise UserError(f"expected a hook point for each of {len(pair[0])} in the tensors, got {len(points)}")
    return PairRows(
        pair[0].shape[1], points, lambda rows: torch.stack([part[:, rows] for part in pair]).float()
    )


def difference(pair: PairSource) -> Rows:
    """Tuned minus base at one hook point, as rows for `train_sae`: a difference-SAE reads what tuning
    changed.

    UserError when the pair has several hook points.
    """
    rows = pair_rows(pair)
    n_points = len(rows.points) if isinstance(pair, StorePair) else len(pair[0])
    if n_points != 1:
        raise UserError(f"a difference is taken at one hook point, the pair has {n_points}: select one")

    def take(chosen: Int[Tensor, " m"]) -> Float[Tensor, "m d_model"]:
        base, tuned = rows.read(chosen)
        return tuned[0] - base[0]

    return Rows(rows.count, take)
