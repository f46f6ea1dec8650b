"""Directions that mean nothing, made like those that do: what a vector must beat under the same search."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from steering.vectors import unit

Recipe = Callable[
    [Float[Tensor, "layer n d_model"], Float[Tensor, "layer m d_model"]], Float[Tensor, "layer d_model"]
]
"""From positive and negative activations to directions, such as `difference_of_means`."""


def random_directions(layers: int, d_model: int, *, seed: int) -> Float[Tensor, "layer d_model"]:
    """A direction a layer, uniform on the unit sphere: the control a direction must beat."""
    return unit(torch.randn(layers, d_model, generator=torch.Generator().manual_seed(seed)))


def random_like(directions: Float[Tensor, "layer d_model"], *, seed: int) -> Float[Tensor, "layer d_model"]:
    """Random directions, each as long as the direction given at its layer."""
    lengths = directions.norm(dim=-1, keepdim=True)
    return random_directions(*directions.shape, seed=seed).to(directions) * lengths


def shuffled_labels(
    recipe: Recipe,
    positive: Float[Tensor, "layer n d_model"],
    negative: Float[Tensor, "layer m d_model"],
    *,
    seed: int,
) -> Float[Tensor, "layer d_model"]:
    """What a recipe makes of the same activations when which is positive is drawn anew.

    As many are positive as before, the same ones at every layer; pairs are drawn anew as well.
    """
    n, m = positive.shape[1], negative.shape[1]
    order = torch.randperm(n + m, generator=torch.Generator().manual_seed(seed))
    pooled = torch.cat([positive, negative], dim=1)[:, order.to(positive.device)]
    return recipe(pooled[:, :n], pooled[:, n:])
