"""Difference of means: the probe that is fitted in one pass."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import check_lengths, codes_of, first_of, weights_of
from undertext.probes.estimator import Classifier
from undertext.probes.rows import Stream, in_working_dtype

FAR = 1e-2
"""How far class means lie from their mean, over how far that lies from zero: less, and sums lose digits."""


class MeansProbe(Classifier):
    """Each class by its mean, a row going to the nearest one: mass-mean probing, unscaled.

    `coef_ = (mean_c - mean) / between`, where `between` is the (weighted) mean squared distance of the class
    means from their mean; rows of two classes differ by the difference of means, and the border lies
    half-way. Classes' frequencies move it nowhere (as scikit-learn's `NearestCentroid`). The division makes
    logits the same in any unit of activation, and no more: probabilities are not calibrated, since nothing
    here knows how far rows lie from their means. `LDAProbe(shrinkage=1.0, standardize=False)` has the same
    `direction_`, and does. (Marks and Tegmark 2024, arXiv 2310.06824.)

    A class that a target never shows has intercept -inf. Where all classes have the same mean (but for
    rounding) there is nothing to read, and `coef_` and `direction_` are zero. Fitted attributes: `coef_`
    [*slice, *target, class, d], `intercept_` [*slice, *target, class], `classes_` [class], `direction_`,
    `n_features_in_`.
    """

    def fit(
        self,
        X: Float[Tensor, "*slice n d"] | Stream,
        y: Int[Tensor, "n *target"],
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> "MeansProbe":
        """Fit to labels `[n]` or `[n, target]`, any integers, in one pass over X, a tensor or batches
        (two where it is far from zero).

        Raises UserError for shapes that do not fit, activations that are not finite, and a target with a
        single class.
        """
        check_lengths(X, y, sample_weight)
        weight = weights_of(sample_weight, X, len(y))
        classes, codes = codes_of(y, weight)
        # In memory row after row, which the product below is fastest with.
        onehot = (codes[:, None] == torch.arange(len(classes), device=codes.device)[:, None]).to(weight)
        onehot *= weight / weight.sum()
        prior = onehot.sum(-1)
        origin = None
        for _ in range(2):
            sums = _sums(X, onehot.flatten(0, 1), origin).unflatten(1, onehot.shape[:2])
            mean = sums.sum(2, keepdim=True)
            means = sums / prior.clamp(min=torch.finfo(prior.dtype).tiny)[..., None]
            apart = means - mean
            between = (apart.square().sum(-1) * prior).sum(-1)
            size = mean.square().sum((-1, -2))
            if origin is not None or not bool((between <= FAR**2 * size).any()):
                break
            # Once more, relative to the mean: the difference of long sums would lose its digits.
            origin = mean[:, 0, 0]
        if not bool(torch.isfinite(between).all()):
            raise UserError(
                f"expected finite activations, got NaN or infinity (or beyond {between.dtype}'s root)"
            )
        if origin is not None:
            size = size + origin.square().sum(-1, keepdim=True)
            none = between <= (16 * torch.finfo(size.dtype).eps) ** 2 * size
            apart = apart.masked_fill(none[..., None, None], 0.0)
            between = between.masked_fill(none, 1.0)
        coef = apart / between[..., None, None]
        if len(codes) > 1:  # one target alone shows every class
            coef = coef.masked_fill((prior == 0)[..., None], 0.0)
        middle = (coef * (means + mean)).sum(-1) / 2
        if origin is not None:
            middle = middle + (coef @ origin[:, None, :, None])[..., 0]
        intercept = torch.where(prior > 0, -middle, -torch.inf)
        self.classes_ = classes
        self._keep(coef, intercept, first_of(X).shape[:-2], [*y.shape[1:], len(classes)])
        return self


def _sums(
    X: Tensor | Stream, weights: Float[Tensor, "c n"], origin: Float[Tensor, "slice d"] | None
) -> Float[Tensor, "slice c d"]:
    """Weighted sums of rows, relative to `origin` (None: zero)."""
    sums = None
    at, n = 0, weights.shape[1]
    for batch in [X] if isinstance(X, Tensor) else X:
        flat = in_working_dtype(batch).reshape(-1, *batch.shape[-2:])
        if sums is None:
            sums = flat.new_zeros(len(flat), len(weights), flat.shape[-1])
        if flat.shape[::2] != sums.shape[::2]:
            raise UserError(f"expected batches of one width, got {flat.shape[2]} after {sums.shape[2]}")
        part = weights[:, at : at + flat.shape[1]]
        at += flat.shape[1]
        if at > n:
            break
        for i, rows in enumerate(flat):  # one by one: a product of three axes takes twice the time
            sums[i].addmm_(part, rows if origin is None else rows - origin[i])
    if at != n or sums is None:
        raise UserError(f"expected as many rows as labels, got {at} or more with {n} labels")
    return sums
