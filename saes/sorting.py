"""Sorting a crosscoder's latents: of the base alone, shared, of the tuned model alone."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from saes.scaling import Scaling

Kind = Literal["base_only", "shared", "tuned_only", "dead"]
KINDS: tuple[Kind, ...] = ("base_only", "shared", "tuned_only", "dead")


class Cuts(NamedTuple):
    """Below all of these, the weaker model has no part in a latent; each is a share of the stronger's
    figure."""

    held: float = 0.2
    """Of what the model holds (`Scaling.held`): its decoder's norm, as far as its activations bear it out."""
    error: float = 0.2
    """Of what the error holds of it, along the stronger model's decoder."""
    told: float = 0.3
    """Of what the stronger model holds: what latents that are of the weaker model alone tell of it, in any
    direction."""


DEFAULT_CUTS = Cuts()


@dataclass(frozen=True, eq=False)
class Sorted:
    """The kind of every latent."""

    index: Int[Tensor, " d_sae"]
    """Into `KINDS`."""

    def latents(self, kind: Kind) -> Int[Tensor, " n"]:
        """The latents of a kind."""
        return (self.index == KINDS.index(kind)).nonzero()[:, 0]

    def shares(self) -> dict[Kind, float]:
        """Share of the latents, the dead ones among them, that are of each kind."""
        return {kind: len(self.latents(kind)) / len(self.index) for kind in KINDS}


def sort_latents(scaling: Scaling, cuts: Cuts = DEFAULT_CUTS) -> Sorted:
    """Sort by decoder norm and latent scaling.

    A latent is of one model alone when the other holds nothing of it by three accounts: its own decoder,
    checked against its activations; what its reconstruction leaves over; and what latents of that model
    alone tell. The last finds a shared feature that was split into one latent for each model, whose norms
    alone say that it is two features. It asks for no direction, so that a feature that was rotated is found
    too. Shared latents that fire along with the latent have no part in it.
    """
    strong = scaling.stronger[None]
    told, held = scaling.told.gather(0, 1 - strong)[0], scaling.held.gather(0, strong)[0]
    apart = (
        (scaling.ratio(scaling.held) < cuts.held)
        & (scaling.ratio(scaling.error) < cuts.error)
        & (told / held < cuts.told)
    )
    return _sorted(apart, scaling.stronger, scaling.fired)


def sort_by_norm(scaling: Scaling, cut: float = 0.1) -> Sorted:
    """Sort by relative decoder norm alone: below `cut` or above 1 - `cut`, a latent is of one model alone."""
    relative = relative_norm(scaling.norms)
    apart = (relative < cut) | (relative > 1 - cut)
    return _sorted(apart, (relative > 0.5).long(), scaling.fired)


def relative_norm(norms: Float[Tensor, "model d_sae"]) -> Float[Tensor, " d_sae"]:
    """(1 + (tuned - base) / max(tuned, base)) / 2: 0 for the base alone, 1 for tuned (arXiv 2504.02922)."""
    base, tuned = norms
    return (1 + (tuned - base) / torch.maximum(base, tuned)) / 2


def _sorted(
    apart: Bool[Tensor, " d_sae"], stronger: Int[Tensor, " d_sae"], fired: Float[Tensor, " d_sae"]
) -> Sorted:
    index = torch.where(apart, 2 * stronger, KINDS.index("shared"))
    return Sorted(torch.where(fired > 0, index, KINDS.index("dead")))
