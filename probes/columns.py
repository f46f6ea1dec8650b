"""What is fitted on the same rows at once: each target, in each fold."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.probes.checks import ClassWeight, class_factors
from undertext.probes.lbfgs import Fit
from undertext.probes.losses import Loss, ManyClasses, TwoClasses
from undertext.probes.rows import Rows


@dataclass(frozen=True)
class Columns:
    """Labels and weights of each column, which is a target under a fold's weights (targets vary fastest)."""

    onehot: Float[Tensor, "column class n"]
    share: Float[Tensor, "column 1 n"]
    """Weights that sum to one, class weights included; all zero where there is nothing to tell apart."""
    total: Float[Tensor, " column"]
    """What they summed to."""
    spread: Float[Tensor, "column n"]
    """Weights without the classes', which standardisation goes by; they sum to one."""
    present: Tensor
    """[column, class]: the classes that rows of positive weight show."""

    @classmethod
    def make(
        cls,
        codes: Int[Tensor, "target n"],
        classes: Int[Tensor, " class"],
        weights: Float[Tensor, "fold n"],
        class_weight: ClassWeight,
    ) -> "Columns":
        """Every target under the weights of every fold."""
        onehot = torch.nn.functional.one_hot(codes, len(classes)).mT.to(weights)
        onehot = onehot.repeat(len(weights), 1, 1)
        weight = weights.repeat_interleave(len(codes), 0)
        totals = (onehot @ weight[..., None])[..., 0]
        factors = class_factors(class_weight, classes, totals)
        weighted = weight * (factors[:, None] @ onehot)[:, 0]
        present = totals * factors > 0
        weighted = weighted * (present.sum(-1, keepdim=True) >= 2)
        total = weighted.sum(-1)
        share = weighted / torch.where(total > 0, total, 1.0)[:, None]
        return cls(onehot, share[:, None], total, weight / weight.sum(-1, keepdim=True), present)

    @property
    def binary(self) -> bool:
        """Whether there are two classes in all."""
        return self.onehot.shape[1] == 2

    def __len__(self) -> int:
        return len(self.onehot)

    def loss(self) -> Loss:
        """The mean cross-entropy of each column."""
        if self.binary:
            return TwoClasses(self.onehot[:, 1:], self.share)
        empty = ~self.present.any(-1, keepdim=True)
        offset = torch.where(self.present | empty, 0.0, -torch.inf).to(self.share)[..., None]
        return ManyClasses(self.onehot, self.share, offset)

    def start(self, slices: int, d: int) -> Float[Tensor, "slice column k parameter"]:
        """No weights, and intercepts that give each class its share."""
        prior = (self.onehot @ self.share.mT)[..., 0]
        prior = torch.where(prior > 0, prior, 1.0 if not self.binary else 0.5)
        b = prior.log()
        # Intercepts of many classes sum to zero and steps leave it so, as in scikit-learn.
        b = b[:, 1:] - b[:, :1] if self.binary else b - b.mean(-1, keepdim=True)
        return torch.cat([b.new_zeros(*b.shape, d), b[..., None]], -1).repeat(slices, 1, 1, 1)

    def penalty(self, rows: Rows, C: float, standardize: bool) -> Float[Tensor, "slice column 1 d"]:
        """`1 / (C total)` of every squared weight, as it falls on the weights of standardised features.

        Two classes among more are two rows +-w/2 that stand for one row w, whose square is twice theirs.
        """
        strength = 1 / (C * torch.where(self.total > 0, self.total, 1.0))
        if not self.binary:
            strength = strength * torch.where(self.present.sum(-1) == 2, 2.0, 1.0)
        if standardize:
            relative = torch.ones_like(rows.scale)[:, None] if self._one_spread() else self._relative(rows)
        else:
            relative = rows.scale[:, None].square().reciprocal()
        return (strength[:, None] * relative)[:, :, None]

    def _one_spread(self) -> bool:
        return bool((self.spread == self.spread[:1]).all())

    def _relative(self, rows: Rows) -> Float[Tensor, "slice column d"]:
        """Variance of each feature under each column's weights over that under all rows'; 1 where it is
        constant."""
        spread = self.spread.expand(len(rows.mean), -1, -1)
        mean = rows.transposed(spread)
        square = torch.zeros_like(mean)
        for at, Z in rows.batches():
            square += spread[..., at] @ Z.square()
        variance = square - mean.square()
        return torch.where(variance > 16 * torch.finfo(variance.dtype).eps * square, variance, 1.0)

    def unfold(self, rows: Rows, fit: Fit) -> tuple[Tensor, Tensor]:
        """Weights on raw activations `[slice, column, class, d]` and intercepts, a row a class."""
        theta = fit.theta
        if self.binary:
            theta = torch.cat([-theta / 2, theta / 2], -2)
        coef = theta[..., :-1] / rows.scale[:, None, None]
        intercept = theta[..., -1] - (coef @ rows.mean[:, None, :, None])[..., 0]
        if not self.binary:
            intercept = intercept.masked_fill(~self.present, -torch.inf)
        return coef, intercept

    def logits(self, fit: Fit) -> Float[Tensor, "slice column class n"]:
        """Of every row, those of weight zero too."""
        if self.binary:
            return torch.cat([-fit.margins / 2, fit.margins / 2], -2)
        return fit.margins.masked_fill(~self.present[..., None], -torch.inf)
