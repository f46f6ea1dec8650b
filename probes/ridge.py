"""Ridge probes: linear regression onto one target or many, with a penalty given or chosen."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import check_lengths, first_of, positive, rows_of, weights_of
from undertext.probes.estimator import Linear, shares
from undertext.probes.folds import folds_of
from undertext.probes.lbfgs import factor
from undertext.probes.rows import Rows, Stream

ALPHAS = tuple(10.0**power for power in range(-2, 6))
"""Penalties that are tried unless others are given."""


class Regressor(Linear):
    """A fitted linear regression. Abstract: probes say how it is fitted."""

    def predict(self, X: Float[Tensor, "*slice m d"]) -> Float[Tensor, "*slice_m_target"]:
        """Values `[*slice, m, *target]`."""
        return self._outputs(X)

    def score(
        self,
        X: Float[Tensor, "*slice m d"],
        y: Float[Tensor, "m *target"],
        sample_weight: Float[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "*slice_target"]:
        """R squared `[*slice, *target]`: 1 less (weighted) squared errors over those of the mean of `y`."""
        found = self.predict(X)
        found = found.movedim(-2, -1) if y.ndim == 2 else found
        return r_squared(found, (y.T if y.ndim == 2 else y).to(found), shares(y, sample_weight, found))

    @property
    def direction_(self) -> Float[Tensor, "*slice_target d"]:
        """The unit direction in activation space along which the value rises, for steering."""
        return torch.nn.functional.normalize(self.coef_, dim=-1)


class RidgeProbe(Regressor):
    """Ridge regression of every target on every slice, from one Cholesky factor a slice.

    The objective is scikit-learn's, `sum of weight * (y - x'w - b)^2 + alpha |w|^2` with the intercept free,
    on features standardised with the (weighted) mean and scale of the rows; the scale is folded back.

    Fitted attributes: `coef_` [*slice, *target, d] on raw activations, `intercept_` [*slice, *target],
    `direction_`, `n_features_in_`.

    Args:
        alpha: the penalty.
        standardize: whether the penalty falls on the weights of standardised features (else of raw ones).
    """

    def __init__(self, *, alpha: float = 1.0, standardize: bool = True) -> None:
        self.alpha, self.standardize = alpha, standardize

    def fit(
        self,
        X: Float[Tensor, "*slice n d"] | Stream,
        y: Float[Tensor, "n *target"] | Int[Tensor, "n *target"],
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> "RidgeProbe":
        """Fit to values `[n]` or `[n, target]`; X is a tensor, or batches that can be read three times.

        Raises UserError for shapes that do not fit, values that are not finite and weights that are
        negative or all zero.
        """
        positive(alpha=self.alpha)
        weight, values = _checked(X, y, sample_weight)
        coefs, intercepts = [], []
        for rows in rows_of(X, weight):
            mean, cross = _cross(rows, values, weight / weight.sum())
            penalty = self.alpha / weight.sum() * penalties(rows, self.standardize)
            L = factor(rows.gram(), 1.0, penalty)
            coef, intercept = _unfold(rows, torch.cholesky_solve(cross, L).mT, mean)
            coefs.append(coef)
            intercepts.append(intercept)
        self._keep(torch.cat(coefs), torch.cat(intercepts), first_of(X).shape[:-2], y.shape[1:])
        return self


class RidgeProbeCV(Regressor):
    """`RidgeProbe` at the penalty that predicts held-out rows best, chosen for each slice and target.

    One eigendecomposition a slice and fold serves all targets and penalties. Each fold standardises by its
    own training rows. Among equal scores the strongest penalty wins.

    Fitted attributes: those of `RidgeProbe`, `alpha_` [*slice, *target], `scores_` [*slice, *target, alpha,
    fold] (R squared) and `alphas_` [alpha], descending.

    Args:
        alphas: penalties to try.
        cv: number of folds.
        seed: deals rows to folds, where no groups are given.
        standardize: as in `RidgeProbe`.
    """

    alpha_: Float[Tensor, "*slice_target"]
    scores_: Float[Tensor, "*slice_target alpha fold"]
    alphas_: Float[Tensor, " alpha"]

    def __init__(
        self, *, alphas: Sequence[float] = ALPHAS, cv: int = 5, seed: int = 0, standardize: bool = True
    ) -> None:
        self.alphas, self.cv, self.seed, self.standardize = alphas, cv, seed, standardize

    def fit(
        self,
        X: Float[Tensor, "*slice n d"] | Stream,
        y: Float[Tensor, "n *target"] | Int[Tensor, "n *target"],
        sample_weight: Float[Tensor, " n"] | None = None,
        groups: Int[Tensor, " n"] | None = None,
    ) -> "RidgeProbeCV":
        """Choose and fit; rows of one group (any integers) are never on both sides of a split.

        Raises UserError as `RidgeProbe.fit`, and when there are fewer rows or groups than folds.
        """
        for alpha in self.alphas:
            positive(alpha=alpha)
        if not self.alphas:
            raise UserError("expected penalties to try, got none")
        weight, values = _checked(X, y, sample_weight)
        fold = folds_of(len(y), self.cv, groups=groups, seed=self.seed).to(weight.device)
        held = [weight * (fold == each) for each in range(self.cv)]
        if any(bool((part == weight).all()) or not bool(part.any()) for part in held):
            raise UserError("a fold has rows of weight zero alone: use fewer folds or other groups")
        alphas = sorted(self.alphas, reverse=True)
        scores = torch.stack([self._scores(X, values, weight - part, part, alphas) for part in held], -1)
        best = scores.mean(-1).argmax(-1)
        coef, intercept = (
            torch.cat(each) for each in zip(*self._paths(X, values, weight, alphas), strict=True)
        )
        slices, targets = (torch.arange(size, device=best.device) for size in best.shape)
        self._keep(
            coef[slices[:, None], best, targets],
            intercept[slices[:, None], best, targets],
            first_of(X).shape[:-2],
            y.shape[1:],
        )
        self.alphas_ = torch.tensor(alphas, dtype=coef.dtype, device=coef.device)
        self.alpha_ = self.alphas_[best].reshape(self.intercept_.shape)
        self.scores_ = scores.reshape(*self.intercept_.shape, *scores.shape[-2:])
        return self

    def _paths(
        self, X: Tensor | Stream, values: Tensor, weight: Tensor, alphas: Sequence[float]
    ) -> list[tuple[Tensor, Tensor]]:
        """For each piece of slices: weights [slice, alpha, target, d], intercepts [slice, alpha, target]."""
        out = []
        for rows in rows_of(X, weight):
            mean, cross = _cross(rows, values, weight / weight.sum())
            # Penalising all features alike, in coordinates where that is the identity.
            root = penalties(rows, self.standardize).sqrt()
            turned = rows.gram() / root[:, :, None] / root[:, None, :]
            size, vectors = torch.linalg.eigh(turned)
            along = vectors.mT @ (cross / root[..., None])
            each = []
            for alpha in alphas:
                shrunk = along / (size.clamp(min=0.0) + alpha / weight.sum())[..., None]
                each.append(_unfold(rows, (vectors @ shrunk / root[..., None]).mT, mean))
            coef, intercept = (torch.stack(part, 1) for part in zip(*each, strict=True))
            out.append((coef, intercept))
        return out

    def _scores(
        self, X: Tensor | Stream, values: Tensor, trained: Tensor, held: Tensor, alphas: Sequence[float]
    ) -> Tensor:
        """R squared [slice, target, alpha] on the rows of weight `held`."""
        coef, intercept = (
            torch.cat(each) for each in zip(*self._paths(X, values, trained, alphas), strict=True)
        )
        share = held / held.sum()
        mean = (values @ share)[:, None]
        errors, at = torch.zeros_like(intercept), 0
        for batch in [X] if isinstance(X, Tensor) else X:
            part = batch.reshape(-1, *batch.shape[-2:]).to(coef)
            end = at + part.shape[1]
            found = (part[:, None] @ coef.mT + intercept[:, :, None]).mT
            errors += (found - values[:, at:end]).square() @ share[at:end]
            at = end
        return (1 - errors / ((values - mean).square() @ share)).mT


def r_squared(
    found: Float[Tensor, "*slice_target m"], y: Float[Tensor, "*target m"], share: Float[Tensor, " m"]
) -> Float[Tensor, "*slice_target"]:
    """1 less the weighted mean squared error over that of the mean of `y`."""
    mean = (y @ share)[..., None]
    return 1 - (found - y).square() @ share / ((y - mean).square() @ share)


def penalties(rows: Rows, standardize: bool) -> Float[Tensor, "slice d"]:
    """What a squared weight on a standardised feature costs: 1, or as much as that of the raw feature."""
    return torch.ones_like(rows.scale) if standardize else rows.scale.square().reciprocal()


def _checked(X: Tensor | Stream, y: Tensor, sample_weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weights [n] and values [target, n], as X is."""
    check_lengths(X, y, sample_weight)
    weight = weights_of(sample_weight, X, len(y))
    values = y.to(weight).reshape(len(y), -1).T
    if not bool(torch.isfinite(values).all()):
        raise UserError("expected finite values to predict, got NaN or infinity")
    return weight, values


def _cross(rows: Rows, values: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean of the values [target], and of the features times them [slice, d, target]."""
    mean = values @ share
    R = ((values - mean[:, None]) * share).expand(len(rows.mean), -1, -1)
    return mean, rows.transposed(R).mT


def _unfold(rows: Rows, W: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [slice, target, d] on raw features, and intercepts."""
    coef = W / rows.scale[:, None]
    return coef, mean - (coef @ rows.mean[..., None])[..., 0]
