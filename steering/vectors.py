"""Directions to steer along, one a layer, and directions that mean nothing: what a vector must beat.

Functions from activations to a tensor [layer, d_model].
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError


def difference_of_means(
    positive: Float[Tensor, "layer n d_model"], negative: Float[Tensor, "layer m d_model"]
) -> Float[Tensor, "layer d_model"]:
    """Mean of `positive` less mean of `negative` at each layer (Marks and Tegmark, arXiv 2310.06824)."""
    if not positive.shape[1] or not negative.shape[1]:
        raise UserError(
            "a difference of means needs activations on both sides, "
            f"got {positive.shape[1]} positive and {negative.shape[1]} negative"
        )
    return positive.mean(1) - negative.mean(1)


def principal_difference(
    positive: Float[Tensor, "layer n d_model"],
    negative: Float[Tensor, "layer n d_model"],
    *,
    centred: bool = False,
) -> Float[Tensor, "layer d_model"]:
    """First principal component of the differences of pairs, length 1 (Zou et al., arXiv 2310.01405).

    Each difference is taken both ways round, so that their mean is zero; RepE gives its pairs a random
    order to the same end. With `centred` they are taken as they are, less their mean, as repeng does it:
    a shift common to all pairs is then lost. Of its two ways the one along which positive examples
    project higher on average. UserError without pairs, or when they do not differ.
    """
    if positive.shape != negative.shape or positive.shape[1] < 1 + centred:
        raise UserError(
            f"principal components of differences need {1 + centred} or more pairs, "
            f"got {list(positive.shape)} positive and {list(negative.shape)} negative"
        )
    differences = (positive - negative).double()
    spread = differences - differences.mean(1, keepdim=True) if centred else differences
    _, singular, components = torch.linalg.svd(spread, full_matrices=False)
    # Of equal differences less their mean the mean's rounding is left: a few units in the last place.
    size = differences.norm(dim=(1, 2))
    flat = (singular[:, 0] <= 4 * torch.finfo(torch.float64).eps * size).nonzero()
    if len(flat):
        raise UserError(f"the pairs do not differ{' in their differences' * centred} at layer {int(flat[0])}")
    first = components[:, 0]
    along = (differences.mean(1) * first).sum(-1, keepdim=True)
    return torch.where(along < 0, -first, first).to(positive.dtype)


def at_layers(
    direction: Float[Tensor, " d_model"], layers: Sequence[int], n_layers: int
) -> Float[Tensor, "layer d_model"]:
    """One direction, of a probe or a row of an SAE's decoder, at length 1 at some layers, zeros elsewhere.

    UserError for a layer that is not there, and for a direction that is zero, NaN or infinite.
    """
    if not layers or not all(0 <= layer < n_layers for layer in layers):
        raise UserError(f"expected layers from 0 to {n_layers - 1}, got {list(layers)}")
    if not bool(direction.isfinite().all()) or not bool(direction.any()):
        raise UserError("a direction must be finite and not zero")
    placed = direction.detach().new_zeros(n_layers, len(direction), dtype=torch.float32)
    # In two steps, so that neither a tiny nor a huge one is lost to rounding.
    scaled = direction.detach().double() / direction.detach().double().abs().max()
    placed[list(layers)] = (scaled / scaled.norm()).float()
    return placed


def unit(vectors: Float[Tensor, "layer d_model"]) -> Float[Tensor, "layer d_model"]:
    """Each layer's vector at length 1, so that a dose alone says how far it pushes; zero stays zero."""
    return torch.nn.functional.normalize(vectors, dim=-1)


def mean_norm(activations: Float[Tensor, "layer n d_model"]) -> Float[Tensor, " layer"]:
    """Mean residual norm at each layer: the unit that doses are given in."""
    return activations.norm(dim=-1).mean(-1)


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
