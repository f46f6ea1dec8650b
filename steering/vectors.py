"""Directions to steer along, one a layer: functions from activations to a tensor [layer, d_model]."""

import torch
from jaxtyping import Float
from torch import Tensor

from activations.errors import UserError


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


def checkpoint_delta(
    stronger: Float[Tensor, "layer n d_model"], weaker: Float[Tensor, "layer n d_model"]
) -> Float[Tensor, "layer d_model"]:
    """Mean over the same prompts of the stronger checkpoint's activation less the weaker's."""
    if stronger.shape != weaker.shape:
        raise UserError(
            "a checkpoint delta needs both checkpoints' activations at the same places, "
            f"got {list(stronger.shape)} and {list(weaker.shape)}"
        )
    return (stronger - weaker).mean(1)


def random_directions(layers: int, d_model: int, *, seed: int) -> Float[Tensor, "layer d_model"]:
    """A direction a layer, uniform on the unit sphere: the control a direction must beat."""
    return unit(torch.randn(layers, d_model, generator=torch.Generator().manual_seed(seed)))


def unit(vectors: Float[Tensor, "layer d_model"]) -> Float[Tensor, "layer d_model"]:
    """Each layer's vector at length 1, so that a dose alone says how far it pushes; zero stays zero."""
    return torch.nn.functional.normalize(vectors, dim=-1)


def mean_norm(activations: Float[Tensor, "layer n d_model"]) -> Float[Tensor, " layer"]:
    """Mean residual norm at each layer: the unit that doses are given in."""
    return activations.norm(dim=-1).mean(-1)
