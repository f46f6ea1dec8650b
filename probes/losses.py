"""What probes minimise, as functions of the logits: the logistic loss of two classes and of many."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class TwoClasses:
    """Binary cross-entropy; k = 1, the log odds of the second class."""

    target: Float[Tensor, "column 1 n"]
    """1 for the second class, else 0."""
    share: Float[Tensor, "column 1 n"]
    """Weights of the rows; each column's sum to 1."""
    bend: float = 0.25
    """Second derivative where margins are zero."""

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
    offset: Float[Tensor, "*slice_column class 1"]
    """Added to the logits; -inf for a class that a column never shows."""
    mix: Float[Tensor, "slice column class k"] | None = None
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


Loss = TwoClasses | ManyClasses
"""A convex loss, a weighted sum over rows, of margins `[slice, column, k, n]`, where a column is one fit: a
target, a target in a fold. `residual` is its derivative by the margins, `curvature` the second one along a
direction, both from `probabilities`; `bend` is the second derivative by a margin where all are zero."""
