"""Sorting a crosscoder's latents: of the base alone, shared, of the tuned model alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.saes.scaling import Scaling

Kind = Literal["base_only", "shared", "tuned_only", "dead"]
KINDS: tuple[Kind, ...] = ("base_only", "shared", "tuned_only", "dead")


class LatentCuts(NamedTuple):
    """A latent belongs to one model alone where the other is below all of these."""

    held: float
    """Share of the latent that the other model holds (`Scaling.beyond`, over that of the model that holds
    more)."""
    error: float
    """The same ratio of the betas on the errors, along the decoder of the model that holds more."""
    reconstruction: float
    """The same ratio of the betas on the reconstructions, which other latents write."""
    co_firing: float
    """How much the latent fires together with a latent of the other model (`Scaling.co_firing`)."""


@dataclass(frozen=True, eq=False)
class SortedLatents:
    """The kind of every latent."""

    index: Int[Tensor, " d_sae"]
    """Into `KINDS`."""

    def shares(self, latents: Sequence[int]) -> dict[Kind, float]:
        """Share of some latents that are of each kind; 0 where there are none."""
        counts = torch.bincount(self.index[list(latents)], minlength=len(KINDS)).tolist()
        return {kind: counts[i] / max(1, len(latents)) for i, kind in enumerate(KINDS) if kind != "dead"}


def sort_latents(scaling: Scaling, cuts: LatentCuts) -> SortedLatents:
    """Sort by decoder norm and latent scaling.

    A latent is of one model alone when the other holds nothing of it by any account: its own decoder, beyond
    what another latent writes and checked against the activations; what its reconstruction leaves over; how
    much its reconstruction holds along the same direction; and whether a latent of the other model fires at
    the same rows. The last two find a shared feature that was split into one latent for each model, for which
    the norms alone indicate two features; the very last finds it when it was rotated as well.
    """
    apart = (
        (scaling.ratio(scaling.beyond) < cuts.held)
        & (scaling.ratio(scaling.error) < cuts.error)
        & (scaling.ratio(scaling.reconstruction) < cuts.reconstruction)
        & (scaling.co_firing < cuts.co_firing)
    )
    return _sorted(apart, scaling.stronger, scaling.fired)


def sort_by_norm(scaling: Scaling, cut: float) -> SortedLatents:
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
) -> SortedLatents:
    index = torch.where(apart, 2 * stronger, KINDS.index("shared"))
    return SortedLatents(torch.where(fired > 0, index, KINDS.index("dead")))
