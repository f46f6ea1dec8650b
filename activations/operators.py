"""What an intervention does to an activation.

Each operator takes activations `h` [member, position, d_model], the members' vectors, doses and centres,
and gives what takes their place. With `u` the vector at length 1 and `P` the projection on the span of
the vector or vectors:

- `add`: h + dose * vector (the vector at its own length).
- `ablate`: h - dose * P h. At dose 1 the direction is gone (Arditi et al., arXiv 2406.11717).
- `clamp`: the coordinate along `u` becomes `dose`.
- `affine`: h + dose * P (centre - h). With the mean of other activations as centre this is mean-centred
  ablation (Marshall et al., arXiv 2411.09003, before their added term); with another prompt's activation
  it is interchange in the subspace.
- `rotate`: h turned in the plane of h and `u`, its length kept, by the share `dose` of the angle between
  them: at 0 as it was, at 1 along `u`, below 0 away from it (after Vu and Nguyen, arXiv 2510.26243, who
  turn within one fixed plane).
- `replace`: h + dose * (vector - h): another activation put in its place.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Operator = Literal["add", "ablate", "clamp", "affine", "rotate", "replace"]


class Parameters(NamedTuple):
    """What members of a group act with."""

    vector: Float[Tensor, "member d_model"]
    """Zeros where there are several; of length 1 for `clamp` and `rotate`."""
    basis: Float[Tensor, "member k d_model"]
    """Orthonormal; rows of zeros where a member's span is smaller."""
    centre: Float[Tensor, "member d_model"]


Change = Callable[
    [Float[Tensor, "member position d"], Float[Tensor, "member position 1"], Parameters],
    Float[Tensor, "member position d"],
]


def _add(h: Tensor, dose: Tensor, with_: Parameters) -> Tensor:
    return h + dose * with_.vector[:, None]


def _ablate(h: Tensor, dose: Tensor, with_: Parameters) -> Tensor:
    return h - dose * ((h @ with_.basis.mT) @ with_.basis)


def _affine(h: Tensor, dose: Tensor, with_: Parameters) -> Tensor:
    return h + dose * (((with_.centre[:, None] - h) @ with_.basis.mT) @ with_.basis)


def _clamp(h: Tensor, dose: Tensor, with_: Parameters) -> Tensor:
    return h + (dose - h @ with_.vector[..., None]) * with_.vector[:, None]


def _replace(h: Tensor, dose: Tensor, with_: Parameters) -> Tensor:
    return h + dose * (with_.vector[:, None] - h)


def _rotate(h: Tensor, dose: Tensor, with_: Parameters) -> Tensor:
    u = with_.vector[:, None]
    length = h.norm(dim=-1, keepdim=True)
    along = h @ with_.vector[..., None]
    across = h - along * u
    height = across.norm(dim=-1, keepdim=True)
    angle = torch.atan2(height, along) * (1 - dose)
    # An activation along the vector already has no direction to turn in, and stays.
    turned = length * (angle.cos() * u + angle.sin() * across / height)
    return torch.where(height > 1e-6 * length, turned, h)


OPERATORS: dict[Operator, Change] = {
    "add": _add,
    "ablate": _ablate,
    "clamp": _clamp,
    "affine": _affine,
    "rotate": _rotate,
    "replace": _replace,
}
ON_SUBSPACES = ("ablate", "affine")
WITH_CENTRE = ("affine",)
UNIT = ("clamp", "rotate")
"""Those that take their vector as a direction only."""


def orthonormal(vectors: Float[Tensor, "*k d_model"]) -> Float[Tensor, "r d_model"]:
    """An orthonormal basis of the span of one vector or several, [r, d_model] with r their rank."""
    rows = vectors.detach().reshape(-1, vectors.shape[-1]).double()
    _, singular, basis = torch.linalg.svd(rows, full_matrices=False)
    kept = singular > singular.max() * max(rows.shape) * torch.finfo(torch.float32).eps
    return basis[kept].to(torch.float32)
