"""Linear discriminant analysis with a shrunk covariance."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import check_lengths, codes_of, first_of, rows_of, weights_of
from undertext.probes.estimator import Classifier
from undertext.probes.rows import Rows, Stream


class LDAProbe(Classifier):
    """Linear discriminant analysis on every slice and every target, from one Gram matrix a slice.

    `coef_ = S^-1 (mean_c - mean)` with the classes' frequencies as priors. S is the covariance within
    classes, on standardised features, shrunk; all is folded back to raw activations. As scikit-learn's with
    `solver="lsqr"`, but that rows of `coef_` are relative to the mean: for more than two classes they differ
    from scikit-learn's by the same vector for each class, which changes no prediction.

    A class that a target never shows has intercept -inf. Fitted attributes: `coef_` [*slice, *target, class,
    d], `intercept_` [*slice, *target, class], `classes_` [class], `direction_`, `n_features_in_`, and
    `shrinkage_` [*slice, *target, class].

    Args:
        shrinkage: 0 to 1, the share of a multiple of the identity in S; None is 0. "auto" is Ledoit and
            Wolf's (2004, J. Multivar. Anal. 88) for each class apart, on features standardised in it.
        standardize: whether features are standardised first: it matters where a fixed share is shrunk.
    """

    shrinkage_: Float[Tensor, "*slice_target class"]

    def __init__(
        self, *, shrinkage: float | Literal["auto"] | None = "auto", standardize: bool = True
    ) -> None:
        self.shrinkage, self.standardize = shrinkage, standardize

    def fit(
        self,
        X: Float[Tensor, "*slice n d"] | Stream,
        y: Int[Tensor, "n *target"],
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> "LDAProbe":
        """Fit to labels `[n]` or `[n, target]`, any integers; X is a tensor, or batches to be read again and
        again.

        Raises UserError for shapes that do not fit, activations that are not finite, a target with a single
        class, and where no class varies.
        """
        fixed = self.shrinkage
        if isinstance(fixed, str) and fixed != "auto":
            raise UserError(f"shrinkage is 'auto', None or a number from 0 to 1, got {fixed!r}")
        if not isinstance(fixed, str) and not 0 <= (fixed or 0.0) <= 1:
            raise UserError(f"shrinkage is 'auto', None or a number from 0 to 1, got {fixed}")
        check_lengths(X, y, sample_weight)
        weight = weights_of(sample_weight, X, len(y))
        classes, codes = codes_of(y, weight)
        onehot = torch.nn.functional.one_hot(codes, len(classes)).mT.to(weight) * weight
        found = [
            tuple(torch.stack(part) for part in zip(*(self._fit(rows, each) for each in onehot), strict=True))
            for rows in rows_of(X, weight)
        ]
        coef, intercept, shrunk = (
            torch.cat([each[i] for each in found], 1).transpose(0, 1) for i in range(3)
        )
        self.classes_ = classes
        self._keep(coef, intercept, first_of(X).shape[:-2], [*y.shape[1:], len(classes)])
        self.shrinkage_ = shrunk.reshape(self.intercept_.shape)
        return self

    def _fit(self, rows: Rows, weights: Float[Tensor, "class n"]) -> tuple[Tensor, Tensor, Tensor]:
        """Weights [slice, class, d], intercepts and shrinkage [slice, class] of one target."""
        counts = weights.sum(-1)
        prior = counts / counts.sum()
        share = weights / counts.clamp(min=torch.finfo(counts.dtype).tiny)[:, None]
        means = rows.transposed(share.expand(len(rows.mean), -1, -1))
        if self.shrinkage == "auto":
            within, shrunk = _ledoit_wolf(rows, share, means, counts)
        else:
            part = float(self.shrinkage or 0.0)
            within = rows.gram() - (prior[:, None] * means).mT @ means
            scale = torch.ones_like(rows.scale) if self.standardize else rows.scale
            size = (within.diagonal(dim1=-2, dim2=-1) * scale.square()).mean(-1, keepdim=True)
            within = within * (1 - part)
            within.diagonal(dim1=-2, dim2=-1).add_(part * size / scale.square())
            shrunk = torch.full_like(means[..., 0], part)
        coef = _solve(within, means)
        intercept = prior.log() - (coef * means).sum(-1) / 2
        coef = coef / rows.scale[:, None]
        return coef, intercept - (coef @ rows.mean[..., None])[..., 0], shrunk


def _ledoit_wolf(
    rows: Rows, share: Float[Tensor, "class n"], means: Float[Tensor, "slice class d"], counts: Tensor
) -> tuple[Float[Tensor, "slice d d"], Float[Tensor, "slice class"]]:
    """The covariance within classes, each class's shrunk by its own share, and those shares."""
    d = rows.d
    pooled = torch.zeros_like(rows.gram())
    found = []
    for c, count in enumerate(counts):
        if not count > 0:
            found.append(means.new_zeros(len(means)))
            continue
        members, mean = share[c].nonzero()[:, 0], means[:, c, None]
        S = torch.zeros_like(pooled)
        for at, Z in rows.batches():
            here = members[(members >= at.start) & (members < at.stop)]
            moved = Z[:, here - at.start] - mean
            S += moved.mT @ (moved * share[c, here, None])
        variance = S.diagonal(dim1=-2, dim2=-1)
        deviation = torch.where(variance > 0, variance, 1.0).sqrt()
        R = S / deviation[:, :, None] / deviation[:, None, :]
        fourth = means.new_zeros(len(means))
        for at, Z in rows.batches():
            here = members[(members >= at.start) & (members < at.stop)]
            lengths = ((Z[:, here - at.start] - mean) / deviation[:, None]).square().sum(-1)
            fourth += lengths.square() @ share[c, here]
        size = R.diagonal(dim1=-2, dim2=-1).mean(-1)
        squared = R.square().sum((-2, -1))
        noise = (fourth - squared) / (d * count)
        far = (squared - d * size.square()) / d
        noise = torch.minimum(noise, far)
        part = torch.where(noise > 0, noise / far, 0.0)
        shrunk = (1 - part)[:, None, None] * R
        shrunk.diagonal(dim1=-2, dim2=-1).add_((part * size)[:, None])
        pooled += count / counts.sum() * shrunk * deviation[:, :, None] * deviation[:, None, :]
        found.append(part)
    return pooled, torch.stack(found, -1)


def _solve(within: Float[Tensor, "slice d d"], means: Float[Tensor, "slice class d"]) -> Tensor:
    """`S^-1 mean` [slice, class, d]; of singular S the least solution."""
    eps = torch.finfo(within.dtype).eps * within.shape[-1]
    size = within.diagonal(dim1=-2, dim2=-1).amax(-1)
    if bool((size <= eps).any()):
        raise UserError("rows do not vary within classes: nothing tells how far is far")
    L, failed = torch.linalg.cholesky_ex(within)
    least = L.diagonal(dim1=-2, dim2=-1).amin(-1).square()
    if not bool(failed.any()) and bool((least > eps * size).all()):
        return torch.cholesky_solve(means.mT, L).mT
    values, vectors = torch.linalg.eigh(within)
    keep = values > eps * values[:, -1:]
    inverse = torch.where(keep, 1 / torch.where(keep, values, 1.0), 0.0)
    return means @ (vectors * inverse[:, None]) @ vectors.mT
