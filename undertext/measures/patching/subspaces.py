"""Kinds of subspace in which a checkpoint may hold a value."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.probes import fit_select, principal_directions

SubspaceOf = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Takes activations [point, n, d_model] and labels [n] to fit and the same to choose on; gives
[point, class - 1, d_model], the rows that matter most first."""


def of_means(
    X: Float[Tensor, "point n d"],
    y: Int[Tensor, " n"],
    X_choose: Float[Tensor, "point m d"],
    y_choose: Int[Tensor, " m"],
) -> Float[Tensor, "point r d"]:
    """Where the classes' means differ, which is what `MeansProbe` reads in; nothing is left to choose."""
    return principal_directions(class_means(X, y))


def of_logistic(
    X: Float[Tensor, "point n d"],
    y: Int[Tensor, " n"],
    X_choose: Float[Tensor, "point m d"],
    y_choose: Int[Tensor, " m"],
) -> Float[Tensor, "point r d"]:
    """Where a logistic probe reads, its strength chosen.

    It may read from directions that hardly vary and are not those by which the model tells the classes apart.
    """
    return principal_directions(fit_select(X, y, X_choose, y_choose).probe.coef_)


SUBSPACES: Mapping[str, SubspaceOf] = {"means": of_means, "logistic": of_logistic}


def class_means(X: Float[Tensor, "point n d"], y: Int[Tensor, " n"]) -> Float[Tensor, "point class d"]:
    """The mean of each class, of which there are as many as the largest label and one; each occurs."""
    onehot = torch.nn.functional.one_hot(y).to(X)
    return (onehot / onehot.sum(0)).T @ X
