"""Activations made of features that are known: for one model, and for a base and what tuning made of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

KINDS = ("shared", "base_only", "tuned_only", "rotated")


def superposition(n=6000, d=16, features=40, seed=0, rate=0.06):
    """Rows [n, d] that are sums of a few of more features than dimensions, with a little noise."""
    noise = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(features, d, generator=noise), dim=1)
    strengths = (torch.rand(n, features, generator=noise) < rate) * (
        0.5 + torch.rand(n, features, generator=noise)
    )
    return strengths @ directions + 0.02 * torch.randn(n, d, generator=noise)


@dataclass(frozen=True)
class Planted:
    """A pair of models whose features are known."""

    directions: Tensor
    """[model feature d_model]: what a feature writes in each model; zeros where it is not there."""
    kinds: tuple[str, ...]
    """Of each feature, one of KINDS."""
    base: Tensor
    tuned: Tensor
    """[1 n d_model] each."""


def planted_pair(
    *,
    seed: int,
    d_model: int = 48,
    per_kind: int = 24,
    n: int = 40_000,
    rate: float = 0.04,
    own_strength: float = 0.0,
    tuned_size: float = 2.0,
    together: bool = False,
) -> Planted:
    """As many features of each kind, each firing at its own rows, with the same rows in both models.

    A rotated feature has another direction in each model. `own_strength` is the standard deviation of the
    log of how far a feature's strength in one model departs from its strength in the other. All of the tuned
    model is `tuned_size` times as large, as residual streams grow in tuning.
    """
    noise = torch.Generator().manual_seed(seed)
    kinds = tuple(kind for kind in KINDS for _ in range(per_kind))
    directions = torch.nn.functional.normalize(torch.randn(2, len(kinds), d_model, generator=noise), dim=-1)
    for feature, kind in enumerate(kinds):
        if kind == "shared":
            directions[1, feature] = directions[0, feature]
        elif kind != "rotated":
            directions[1 if kind == "base_only" else 0, feature] = 0
    fires = torch.rand(n, len(kinds), generator=noise) < rate
    if together:
        halves = torch.rand(n, 2 * per_kind, generator=noise) < 0.5
        parents = torch.cat((fires[:, :per_kind], fires[:, :per_kind].roll(1, dims=1)), dim=1)
        fires[:, per_kind : 3 * per_kind] = parents & halves
    strengths = fires * (0.5 + torch.rand(n, len(kinds), generator=noise))
    models = [
        (strengths * torch.exp(own_strength * torch.randn(strengths.shape, generator=noise))) @ rows
        + 0.02 * torch.randn(n, d_model, generator=noise)
        for rows in directions
    ]
    directions[1] *= tuned_size
    return Planted(directions, kinds, models[0][None], models[1][None] * tuned_size)
