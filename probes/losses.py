"""What probes minimise, as functions of the logits: the logistic loss of two classes and of many."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor


class Loss(Protocol):
    """A convex loss, a weighted sum over rows, of margins `[slice, column, k, n]`.

    A column is one fit: a target, a target in a fold. `residual` is the derivative by the margins.
    """

    bend: float
    """The second derivative by a margin where all margins are zero, a row's weight apart."""

    def probabilities(self, margins: Float[Tensor, "slice column k n"]) -> Float[Tensor, "slice column p n"]:
        """What the other two are worked out from."""
        ...

    def residual(self, P: Float[Tensor, "slice column p n"]) -> Float[Tensor, "slice column k n"]:
        """Derivative of the loss by the margins."""
        ...

    def curvature(
        self, P: Float[Tensor, "slice column p n"], along: Float[Tensor, "slice column k n"]
    ) -> Float[Tensor, "slice column"]:
        """Second derivative of the loss along a direction of the margins."""
        ...


@dataclass(frozen=True)
class TwoClasses:
    """Binary cross-entropy; k = 1, the log odds of the second class."""

    target: Float[Tensor, "column 1 n"]
    """1 for the second class, else 0."""
    share: Float[Tensor, "column 1 n"]
    """Weights of the rows; each column's sum to 1."""
    bend: float = 0.25

    def probabilities(self, margins: Float[Tensor, "slice column 1 n"]) -> Float[Tensor, "slice column 1 n"]:
        """Of the second class."""
        return margins.sigmoid()

    def residual(self, P: Float[Tensor, "slice column 1 n"]) -> Float[Tensor, "slice column 1 n"]:
        """Derivative of the loss by the margins."""
        return (P - self.target) * self.share

    def curvature(
        self, P: Float[Tensor, "slice column 1 n"], along: Float[Tensor, "slice column 1 n"]
    ) -> Float[Tensor, "slice column"]:
        """Second derivative along a direction."""
        return (self.share * P * (1 - P) * along.square()).sum((-2, -1))


@dataclass(frozen=True)
class ManyClasses:
    """Cross-entropy of a softmax over `mix @ margins + offset`."""

    target: Float[Tensor, "column class n"]
    """One-hot."""
    share: Float[Tensor, "column 1 n"]
    offset: Float[Tensor, "column class 1"]
    """Added to the logits; -inf for a class that a column never shows."""
    mix: Float[Tensor, "column class k"] | None = None
    """How margins make logits; None where they are the logits."""

    @property
    def bend(self) -> float:
        """Of a softmax at equal logits: 1 / class."""
        return 1 / self.target.shape[-2]

    def logits(self, margins: Float[Tensor, "slice column k n"]) -> Float[Tensor, "slice column class n"]:
        """Of every class."""
        return (margins if self.mix is None else self.mix @ margins) + self.offset

    def probabilities(
        self, margins: Float[Tensor, "slice column k n"]
    ) -> Float[Tensor, "slice column class n"]:
        """Of every class."""
        return self.logits(margins).softmax(-2)

    def residual(self, P: Float[Tensor, "slice column class n"]) -> Float[Tensor, "slice column k n"]:
        """Derivative of the loss by the margins."""
        R = (P - self.target) * self.share
        return R if self.mix is None else self.mix.mT @ R

    def curvature(
        self, P: Float[Tensor, "slice column class n"], along: Float[Tensor, "slice column k n"]
    ) -> Float[Tensor, "slice column"]:
        """Second derivative along a direction."""
        along = along if self.mix is None else self.mix @ along
        mean = (P * along).sum(-2, keepdim=True)
        return (self.share * P * (along - mean).square()).sum((-2, -1))
