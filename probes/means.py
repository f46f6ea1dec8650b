"""Difference of means: the probe that is fitted in one pass."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.errors import UserError
from probes.checks import check_lengths, codes_of, first_of, weights_of
from probes.estimator import Classifier
from probes.rows import Stream, in_working_dtype

CACHED_BYTES = 2**19
"""Rows looked at together on a CPU: what is read twice is then still in its cache."""
FAR = 1e-2
"""Share of the mean square that must lie within classes for a difference of sums to tell it well."""


class MeansProbe(Classifier):
    """Each class by its mean: `coef_` of two classes differ by the difference of their means.

    The model is a Gaussian of the same width in all directions around each class's mean (linear discriminant
    analysis whose covariance is shrunk to a multiple of the identity), so a row goes to the nearest mean, but
    for the classes' frequencies: `coef_ = (mean_c - mean) / variance`, where variance is that within classes,
    averaged over features. `direction_` for two classes is the normalised difference of means.

    A class that a target never shows has intercept -inf. Fitted attributes: `coef_` [*slice, *target, class,
    d], `intercept_` [*slice, *target, class], `classes_` [class], `direction_`, `n_features_in_`.
    """

    def fit(
        self,
        X: Float[Tensor, "*slice n d"] | Stream,
        y: Int[Tensor, "n *target"],
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> "MeansProbe":
        """Fit to labels `[n]` or `[n, target]`, any integers, in one pass over X, a tensor or batches
        (two where it is far from zero).

        Raises UserError for shapes that do not fit, activations that are not finite, a target with a single
        class, and where no class varies.
        """
        check_lengths(X, y, sample_weight)
        weight = weights_of(sample_weight, X, len(y))
        classes, codes = codes_of(y, weight)
        onehot = torch.nn.functional.one_hot(codes, len(classes)).mT.to(weight) * (weight / weight.sum())
        prior = onehot.sum(-1)
        share = weight / weight.sum()
        origin = None
        for _ in range(2):
            sums, squares = _sums(X, onehot.flatten(0, 1), share, origin)
            sums = sums.unflatten(1, onehot.shape[:2])
            means = sums / prior.clamp(min=torch.finfo(prior.dtype).tiny)[..., None]
            within = squares[:, None] - (prior * means.square().sum(-1)).sum(-1)
            mean = sums.sum(2, keepdim=True)
            if origin is not None or bool((within > FAR * squares[:, None]).all()):
                break
            # Far from zero the difference loses its digits: once more, relative to the mean.
            origin = mean[:, 0, 0]
        if not bool(torch.isfinite(within).all()):
            raise UserError(
                f"expected finite activations, got NaN or infinity (or beyond {within.dtype}'s root)"
            )
        if bool((within <= 16 * torch.finfo(within.dtype).eps * squares[:, None]).any()):
            raise UserError("rows do not vary within classes: nothing tells how far is far")
        coef = (means - mean) / (within / means.shape[-1])[..., None, None]
        coef = coef.masked_fill((prior == 0)[..., None], 0.0)
        middle = (coef * (means + mean)).sum(-1) / 2
        if origin is not None:
            middle = middle + (coef @ origin[:, None, :, None])[..., 0]
        self.classes_ = classes
        self._keep(coef, prior.log() - middle, first_of(X).shape[:-2], [*y.shape[1:], len(classes)])
        return self


def _sums(
    X: Tensor | Stream,
    weights: Float[Tensor, "c n"],
    share: Float[Tensor, " n"],
    origin: Float[Tensor, "slice d"] | None,
) -> tuple[Float[Tensor, "slice c d"], Float[Tensor, " slice"]]:
    """Weighted sums of rows and of their squared lengths, relative to `origin` (None: zero)."""
    sums = squares = None
    even = bool((share == share[0]).all())
    at = 0
    for batch in _pieces(X):
        if sums is None or squares is None:
            sums = batch.new_zeros(len(batch), len(weights), batch.shape[-1])
            squares = batch.new_zeros(len(batch))
        rows = slice(at, at + batch.shape[1])
        at = rows.stop
        if batch.shape[::2] != sums.shape[::2]:
            raise UserError(f"expected batches of one width, got {batch.shape[2]} after {sums.shape[2]}")
        if at > len(share):
            break
        if origin is not None:
            batch = batch - origin[:, None]
        sums += weights[:, rows] @ batch
        if even and len(batch) == 1 and batch.is_contiguous():  # a fifth of the time of the other
            squares += torch.dot(batch.view(-1), batch.view(-1)) * share[0]
        else:
            squares += torch.linalg.vecdot(batch, batch) @ share[rows]
    if at != len(share) or sums is None or squares is None:
        raise UserError(f"expected as many rows as labels, got {at} or more with {len(share)} labels")
    return sums, squares


def _pieces(X: Tensor | Stream) -> Iterator[Float[Tensor, "slice b d"]]:
    for batch in [X] if isinstance(X, Tensor) else X:
        flat = in_working_dtype(batch).reshape(-1, *batch.shape[-2:])
        row = flat.shape[0] * flat.shape[2] * flat.element_size()
        yield from flat.split(max(1, CACHED_BYTES // row) if flat.device.type == "cpu" else flat.shape[1], 1)
