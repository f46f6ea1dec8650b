"""Linear discriminant analysis with a shrunk covariance."""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import check_lengths, codes_of, first_of, rows_of, weights_of
from undertext.probes.estimator import Classifier
from undertext.probes.rank import full_rank, has_rank, tolerance
from undertext.probes.rows import PIECE, Rows, Stream, exact, gram


class LDAProbe(Classifier):
    """Linear discriminant analysis on every slice and every target, in closed form.

    `coef_ = S^-1 (mean_c - mean)` with the classes' frequencies as priors. S is the covariance within
    classes, on standardised features, shrunk; all is folded back to raw activations. As scikit-learn's with
    `solver="lsqr"`, but that rows of `coef_` are relative to the mean: for more than two classes they differ
    from scikit-learn's by the same vector for each class, which changes no prediction. Computed in float64.

    Where S is singular (no shrinkage, and features that are sums of others, constant within each class, or
    more than the rows can fill), directions in which nothing varies have weight zero: scikit-learn's answer,
    the least one. Directions in which classes differ, but no row from its class's mean, tell classes apart
    for certain, and the answer is the one that less and less shrinkage tends to: they decide. (scikit-learn
    leaves them out with no shrinkage, and has them decide with the least.) What is rounding there is said in
    `probes.rank.tolerance`.

    A class that a target never shows has intercept -inf. Fitted attributes: `coef_` [*slice, *target, class,
    d], `intercept_` [*slice, *target, class], `classes_` [class], `direction_`, `n_features_in_`, and
    `shrinkage_` [*slice, *target, class].

    Args:
        shrinkage: 0 to 1, the share of a multiple of the identity in S; None is 0. "auto" is Ledoit and
            Wolf's (2004, J. Multivar. Anal. 88) for each class apart, on features standardised in it.
        standardize: whether features are standardised first: it matters where a fixed share is shrunk, where
            a feature is constant in a class (its unit there is its deviation over all rows, else that of the
            activations), and where S is singular.
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
        classes = _Classes(rows, weights, standardize=self.standardize)
        if self.shrinkage == "auto":
            within, shrunk = classes.ledoit_wolf()
        else:
            part = float(self.shrinkage or 0.0)
            within = classes.within()
            size = (within.diagonal(dim1=-2, dim2=-1) / classes.unit.square()).mean(-1, keepdim=True)
            within *= 1 - part
            within.diagonal(dim1=-2, dim2=-1).add_(part * size * classes.unit.square())
            shrunk = torch.full_like(classes.means[..., 0], part)
        coef = classes.solve(within)
        intercept = classes.prior.log() - (coef * classes.means).sum(-1) / 2
        coef = coef / rows.scale[:, None]
        intercept = intercept - (coef @ rows.mean.double()[..., None])[..., 0]
        return coef.to(rows.mean), intercept.to(rows.mean), shrunk.to(rows.mean)


class _Classes:
    """The classes of one target, in float64: the means of standardised rows and their scatter about them."""

    def __init__(self, rows: Rows, weights: Float[Tensor, "class n"], *, standardize: bool) -> None:
        self.rows = rows
        weights = weights.double()
        self.counts = weights.sum(-1)
        self.prior = self.counts / self.counts.sum()
        self.share = weights / self.counts.clamp(min=torch.finfo(weights.dtype).tiny)[:, None]
        self.place = weights.argmax(0)
        scale = rows.scale.double()
        self.unit = torch.ones_like(scale) if standardize else 1 / scale
        """Of a raw feature, or of a standardised one, in standardised features."""
        means = rows.transposed(self.share.to(rows.mean).expand(len(scale), -1, -1)).double()
        rest = torch.zeros_like(means)
        for at, Z in exact(self.rows):
            rest += self.share[:, at] @ (Z - means[:, self.place[at]])
        # Twice, since the first means are off by the rounding of a long sum: a feature that is constant in a
        # class would seem to vary in it by that much.
        self.means = means + rest
        # What a feature may seem to vary by in a class, as its values, raw and standardised, are rounded.
        eps = torch.finfo(rows.mean.dtype).eps
        self.rounding = 4 * eps * ((rows.mean.double() / scale)[:, None].abs() + self.means.abs())

    def within(self) -> Float[Tensor, "slice d d"]:
        """The covariance within classes."""
        weight = self.share.mul(self.prior[:, None]).sum(0)
        out = self.means.new_zeros(len(self.means), self.rows.d, self.rows.d)
        for at, Z in exact(self.rows):
            out += gram(Z - self.means[:, self.place[at]], weight[at])
        return out

    def ledoit_wolf(self) -> tuple[Float[Tensor, "slice d d"], Float[Tensor, "slice class"]]:
        """The covariance within classes, each class's shrunk by its own share, and those shares."""
        d = self.rows.d
        pooled = self.means.new_zeros(len(self.means), d, d)
        found = []
        for c, count in enumerate(self.counts):
            if not count > 0:
                found.append(self.means.new_zeros(len(self.means)))
                continue
            S = self.means.new_zeros(len(self.means), d, d)
            for share, moved in self._members(c):
                S += gram(moved, share)
            deviation = S.diagonal(dim1=-2, dim2=-1).sqrt()
            constant = deviation <= self.rounding[:, c]
            deviation = torch.where(constant, self.unit, deviation)
            varies = (~constant).to(S)
            R = S * (varies / deviation)[:, :, None] * (varies / deviation)[:, None, :]
            fourth = self.means.new_zeros(len(self.means))
            for share, moved in self._members(c):
                lengths = (moved * (varies / deviation)[:, None]).square().sum(-1)
                fourth += lengths.square() @ share
            size = R.diagonal(dim1=-2, dim2=-1).mean(-1)
            squared = R.square().sum((-2, -1))
            noise = (fourth - squared) / (d * count)
            far = (squared - d * size.square()) / d
            noise = torch.minimum(noise, far)
            part = torch.where(noise > 0, noise / far, 0.0)
            shrunk = (1 - part)[:, None, None] * R
            shrunk.diagonal(dim1=-2, dim2=-1).add_((part * size)[:, None])
            pooled += self.prior[c] * shrunk * deviation[:, :, None] * deviation[:, None, :]
            found.append(part)
        return pooled, torch.stack(found, -1)

    def solve(self, within: Float[Tensor, "slice d d"]) -> Float[Tensor, "slice class d"]:
        """`S^-1 mean`; where S is singular as `LDAProbe` says. UserError where S is zero."""
        variance = within.diagonal(dim1=-2, dim2=-1)
        varies = variance > self.rounding.amax(1).square()
        if not bool(varies.any(-1).all()):
            raise UserError("rows do not vary within classes: nothing tells how far is far")
        dtype, n, d = self.rows.mean.dtype, self.rows.n, self.rows.d
        least = tolerance(dtype, n, d)
        # Nor may weights outgrow what float32 holds when they are squared.
        floor = max(least, torch.finfo(dtype).eps)
        # Pivots against each feature's own variance, so that small ones do not pass for none.
        L, failed = torch.linalg.cholesky_ex(within)
        if bool(varies.all()) and full_rank(L, failed, variance, least):
            return torch.cholesky_solve(self.means.mT, L).mT
        # In the units that shrinkage is in: the least answer is the least in those.
        means = self.means / self.unit[:, None]
        size, vectors = torch.linalg.eigh(within / self.unit[:, :, None] / self.unit[:, None, :])
        largest = size[:, -1:]
        along = means @ vectors
        apart = (along.square() * self.prior[:, None]).sum(1)
        told = has_rank(size, least) | (apart > least * largest)
        inverse = told / torch.maximum(size, floor * largest)
        return (along * inverse[:, None]) @ vectors.mT / self.unit[:, None]

    def _members(self, c: int) -> Iterator[tuple[Float[Tensor, " b"], Float[Tensor, "slice b d"]]]:
        """Shares and distances from the mean of the rows of a class, some at a time."""
        members, mean = self.share[c].nonzero()[:, 0], self.means[:, c, None]
        for at, Z in self.rows.batches():
            here = members[(members >= at.start) & (members < at.stop)]
            for some in here.split(PIECE):
                if len(some):
                    yield self.share[c, some], Z[:, some - at.start].double() - mean
