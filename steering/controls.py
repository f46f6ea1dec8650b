"""Directions that mean nothing, made like those that do: what a vector must beat under the same search."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.steering.vectors import unit

Recipe = Callable[
    [Float[Tensor, "layer n d_model"], Float[Tensor, "layer m d_model"]], Float[Tensor, "layer d_model"]
]
"""From positive and negative activations to directions, such as `difference_of_means`."""


def random_directions(layers: int, d_model: int, *, seed: int) -> Float[Tensor, "layer d_model"]:
    """A direction a layer, uniform on the unit sphere: the control a direction must beat."""
    return unit(torch.randn(layers, d_model, generator=torch.Generator().manual_seed(seed)))


def shuffled_labels(
    recipe: Recipe,
    positive: Float[Tensor, "layer n d_model"],
    negative: Float[Tensor, "layer m d_model"],
    *,
    seed: int,
    balanced: bool = False,
) -> Float[Tensor, "layer d_model"]:
    """What a recipe makes of the same activations when which is positive is drawn anew.

    As many are positive as before, the same ones at every layer; pairs are drawn anew as well. With
    `balanced`, either side gets its share of those that were positive, as near as whole numbers allow. A
    mean over a plain draw keeps some of the true difference by chance, and where that is most of what
    there is to differ in, the vector points along it, one way or the other: at length 1 that is no control.
    """
    n, m = positive.shape[1], negative.shape[1]
    generator = torch.Generator().manual_seed(seed)
    if balanced:
        first, second = torch.randperm(n, generator=generator), torch.randperm(m, generator=generator) + n
        traded = round(n * m / (n + m))
        kept = torch.cat([first[traded:], second[:traded]])
        rest = torch.cat([first[:traded], second[traded:]])
        # Pairs that meet at random, also where a recipe takes them in order.
        order = torch.cat([each[torch.randperm(len(each), generator=generator)] for each in (kept, rest)])
    else:
        order = torch.randperm(n + m, generator=generator)
    pooled = torch.cat([positive, negative], dim=1)[:, order.to(positive.device)]
    return recipe(pooled[:, :n], pooled[:, n:])
