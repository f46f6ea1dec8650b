"""Sorting a crosscoder's latents: of the base alone, shared, of the tuned model alone."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.saes.scaling import Scaling

Kind = Literal["base_only", "shared", "tuned_only", "dead"]
KINDS: tuple[Kind, ...] = ("base_only", "shared", "tuned_only", "dead")


class Cuts(NamedTuple):
    """Below all of these, the weaker model has no part in a latent."""

    held: float
    """What the weaker model holds of it over what the stronger does (`Scaling.beyond`)."""
    error: float
    """The same of its betas on the errors, along the stronger model's decoder."""
    reconstruction: float
    """The same of its betas on the reconstructions: other latents tell it there."""
    twin: float
    """How much it fires along with a latent of the weaker model (`Scaling.twin`)."""


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


def sort_latents(scaling: Scaling, cuts: Cuts) -> Sorted:
    """Sort by decoder norm and latent scaling.

    A latent is of one model alone when the other holds nothing of it by any account: its own decoder, beyond
    what another latent writes and checked against the activations; what its reconstruction leaves over; what
    its reconstruction tells along the same direction; and whether a twin fires at the same rows. The last two
    find a shared feature that was split into one latent for each model, whose norms alone say that it is two
    features; the very last finds it when it was rotated as well.
    """
    apart = (
        (scaling.ratio(scaling.beyond) < cuts.held)
        & (scaling.ratio(scaling.error) < cuts.error)
        & (scaling.ratio(scaling.reconstruction) < cuts.reconstruction)
        & (scaling.twin < cuts.twin)
    )
    return _sorted(apart, scaling.stronger, scaling.fired)


def sort_by_norm(scaling: Scaling, cut: float) -> Sorted:
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
