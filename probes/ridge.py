"""Ridge probes: linear regression onto one target or many, with a penalty given or chosen."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import check_lengths, first_of, positive, rows_of, weights_of
from undertext.probes.estimator import Linear, shares
from undertext.probes.folds import folds_of
from undertext.probes.rank import full_rank, has_rank, tolerance
from undertext.probes.rows import Rows, Stream, exact, gram

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

    Where features repeat each other and the penalty is too small to make up for it, the answer is the least
    one, as `sklearn.linear_model.Ridge(solver="svd")` gives it: from the eigenvalues, in float64, but for
    those that are rounding (`probes.rank.tolerance`).

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
            mean, W = self._solve(rows, values, weight)
            coef, intercept = _unfold(rows, W, mean)
            coefs.append(coef)
            intercepts.append(intercept)
        self._keep(torch.cat(coefs), torch.cat(intercepts), first_of(X).shape[:-2], y.shape[1:])
        return self

    def _solve(self, rows: Rows, values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Means of the values [target], and weights [slice, target, d] on standardised features."""
        dtype = values.dtype
        relative = penalties(rows, self.standardize)
        mean, cross = _cross(rows, values, weight / weight.sum())
        least = tolerance(dtype, rows.n, rows.d)
        found = _cholesky(rows.gram(), self.alpha / weight.sum() * relative, cross, least)
        if found is not None:
            return mean, found
        # Again in float64, where less is rounding.
        alpha, relative = float(self.alpha / weight.double().sum()), relative.double()
        G, mean, cross = _exactly(rows, values, weight)
        found = _cholesky(G, alpha * relative, cross, least)
        if found is None:
            size, vectors, along, root = _turned(G, cross, relative)
            found = _back(size, vectors, along, root, alpha, least)
        return mean.to(dtype), found.to(dtype)


class RidgeProbeCV(Regressor):
    """`RidgeProbe` at the penalty that predicts held-out rows best, chosen for each slice and target.

    One eigendecomposition a slice and fold, in float64, serves all targets and penalties. Each fold
    standardises by its own training rows. Among equal scores the strongest penalty wins.

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
            G, mean, cross = _exactly(rows, values, weight)
            turned = _turned(G, cross, penalties(rows, self.standardize).double())
            total, least = float(weight.double().sum()), tolerance(weight.dtype, rows.n, rows.d)
            each = [
                _unfold(rows, _back(*turned, alpha / total, least).to(values), mean.to(values))
                for alpha in alphas
            ]
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


def _exactly(rows: Rows, values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The Gram matrix [slice, d, d], means of the values [target] and features times them, in float64."""
    share = weight.double() / weight.double().sum()
    mean = values.double() @ share
    centred = (values.double() - mean[:, None]) * share
    slices, d = rows.mean.shape
    G, cross = mean.new_zeros(slices, d, d), mean.new_zeros(slices, d, len(values))
    for at, Z in exact(rows):
        G += gram(Z, share[at])
        cross += (centred[:, at] @ Z).mT
    return G, mean, cross


def _cholesky(G: Tensor, penalty: Tensor, cross: Tensor, least: float) -> Tensor | None:
    """Weights [slice, target, d]; None where the sum of both is singular, or near enough to lose digits."""
    H = G.clone()
    H.diagonal(dim1=-2, dim2=-1).add_(penalty)
    L, failed = torch.linalg.cholesky_ex(H)
    if not full_rank(L, failed, H.diagonal(dim1=-2, dim2=-1), least):
        return None
    return torch.cholesky_solve(cross, L).mT


def _turned(G: Tensor, cross: Tensor, relative: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Eigenvalues, eigenvectors and the products along them, in coordinates where all features are penalised
    alike; and what those are scaled by."""
    root = relative.sqrt()
    size, vectors = torch.linalg.eigh(G / root[:, :, None] / root[:, None, :])
    return size, vectors, vectors.mT @ (cross / root[..., None]), root


def _back(size: Tensor, vectors: Tensor, along: Tensor, root: Tensor, alpha: float, least: float) -> Tensor:
    """Weights [slice, target, d] at a penalty, none where nothing but rounding varies."""
    kept = has_rank(size, least)
    shrunk = along * torch.where(kept, 1 / (torch.where(kept, size, 1.0) + alpha), 0.0)[..., None]
    return (vectors @ shrunk / root[..., None]).mT


def _unfold(rows: Rows, W: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [slice, target, d] on raw features, and intercepts."""
    coef = W / rows.scale[:, None]
    return coef, mean - (coef @ rows.mean[..., None])[..., 0]
