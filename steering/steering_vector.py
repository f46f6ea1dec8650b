"""A direction at every layer, with what a sweep and a reader must know of it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import SITES, Site


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """Directions to steer along, one a layer, and how they came about.

    Raises:
        UserError: for shapes that do not go together, NaN or infinity, an unknown site, a layer that
            is not there among those without a direction.
    """

    name: str
    directions: Float[Tensor, "layer d_model"]
    """At their own length. Sweeps take them at length 1, but for `replace`."""
    norms: Float[Tensor, " layer"]
    """How long what dose 1 adds is: as a rule the mean residual norm at the layer (`mean_norm`)."""
    made: str
    """The recipe, in words."""
    trained: bool | None = False
    """Whether gradient descent had a part in it; None where that is not known."""
    sources: tuple[str, ...] = ()
    """Names of the checkpoints whose activations or gradients it was made from."""
    site: Site = "resid_post"
    absent: frozenset[int] = frozenset()
    """Layers for which there is no direction; zeros stand there."""
    centre: Float[Tensor, "layer d_model"] | None = None
    """For the operator `affine`: the activation whose part along the direction is put in."""

    def __post_init__(self) -> None:
        """Refuse what cannot be steered along."""
        layers, width = self.directions.shape
        if self.norms.shape != (layers,):
            raise UserError(f"vector {self.name!r}: expected norms [{layers}], got {list(self.norms.shape)}")
        if self.centre is not None and self.centre.shape != (layers, width):
            raise UserError(
                f"vector {self.name!r}: expected a centre [{layers}, {width}], got {list(self.centre.shape)}"
            )
        for what, tensor in (
            ("directions", self.directions),
            ("norms", self.norms),
            ("centre", self.centre),
        ):
            if tensor is not None and not bool(tensor.isfinite().all()):
                raise UserError(f"vector {self.name!r}: NaN or infinity in its {what}")
        if bool((self.norms < 0).any()):
            raise UserError(f"vector {self.name!r}: norms must not be negative")
        if self.site not in SITES:
            raise UserError(f"unknown site {self.site!r}: valid sites are {', '.join(SITES)}")
        if not self.absent <= set(range(layers)):
            raise UserError(f"vector {self.name!r} has the layers 0 to {layers - 1}, not {set(self.absent)}")
        if self.absent and bool(self.directions[sorted(self.absent)].any()):
            raise UserError(f"vector {self.name!r}: layers without a direction must hold zeros")

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that have a direction."""
        return tuple(layer for layer in range(len(self.directions)) if layer not in self.absent)

    @property
    def doses(self) -> Float[Tensor, " layer"]:
        """The dose at which each layer's direction acts at its own length; 0 where its norm is 0."""
        return (self.directions.norm(dim=-1) / self.norms).where(self.norms > 0, 0.0)

    @property
    def fingerprint(self) -> str:
        """A digest of all but the name and how the vector was made: of what steering with it depends on."""
        known = f"{self.site} {sorted(self.absent)} {self.sources}"
        tensors = [each for each in (self.directions, self.norms, self.centre) if each is not None]
        return digest([known.encode(), *map(tensor_bytes, tensors)])

    def check_fits(self, checkpoint: Checkpoint) -> None:
        """UserError unless it has as many layers as the checkpoint."""
        if len(self.directions) != checkpoint.n_layers:
            raise UserError(
                f"vector {self.name!r} has {len(self.directions)} layers, "
                f"{checkpoint.name} has {checkpoint.n_layers}"
            )

    def check_layer(self, layer: int) -> None:
        """UserError unless there is a direction at this layer."""
        if not 0 <= layer < len(self.directions):
            raise UserError(f"expected a layer from 0 to {len(self.directions) - 1}, got {layer}")
        if layer in self.absent:
            own = ", ".join(map(str, self.layers)) or "none"
            raise UserError(f"vector {self.name!r} has no direction at layer {layer}; layers with one: {own}")


def tensor_bytes(tensor: Tensor) -> bytes:
    """Shape and content of a tensor, as bytes."""
    return (
        f"{list(tensor.shape)}".encode()
        + tensor.detach().cpu().to(torch.float32).contiguous().numpy().tobytes()
    )


def digest(parts: Iterable[str] | Iterable[bytes]) -> str:
    """A digest of several pieces of content, in order."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(f"{len(content)} ".encode() + content)
    return whole.hexdigest()[:16]
