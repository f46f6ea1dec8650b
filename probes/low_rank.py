"""A multinomial logistic probe that reads through few directions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import (
    ClassWeight,
    check_lengths,
    codes_of,
    first_of,
    positive,
    rows_of,
    weights_of,
)
from undertext.probes.columns import Columns
from undertext.probes.estimator import Classifier
from undertext.probes.lbfgs import Fit, factor, minimise
from undertext.probes.losses import ManyClasses
from undertext.probes.rows import Held, Rows, Stream

ROUNDS = 50
"""Most alternations between the two factors."""


class LowRankProbe(Classifier):
    """Multinomial logistic regression with weights `[class, d] = U V` of a given rank.

    The objective is that of `LogisticProbe`, its penalty on the product, so that with a rank of class - 1 or
    more it is the same probe. Starts from the full fit, cut to the rank where that changes its training
    logits least, and then fits the two factors in turn: each is a convex problem, and the objective falls to
    a stationary point, which need not be the best of its rank.

    Fitted attributes: those of `LogisticProbe` for labels `[n]`, and `basis_` [*slice, rank, d], orthonormal
    rows that span the directions read, in activation space (where weights span fewer, the last are any).

    Args:
        rank: number of directions.
        C: inverse strength of the penalty, as in `LogisticProbe`.
        class_weight: likewise.
        standardize: likewise.
        tol: the factors are fitted in turn until a round gains less than this, in nats a row.
        max_iter: most steps of each fit.
    """

    basis_: Float[Tensor, "*slice rank d"]
    n_iter_: int

    def __init__(
        self,
        *,
        rank: int = 2,
        C: float = 1.0,
        class_weight: ClassWeight = None,
        standardize: bool = True,
        tol: float = 1e-8,
        max_iter: int = 1000,
    ) -> None:
        self.rank, self.C, self.class_weight, self.standardize = rank, C, class_weight, standardize
        self.tol, self.max_iter = tol, max_iter

    def fit(
        self,
        X: Float[Tensor, "*slice n d"] | Stream,
        y: Int[Tensor, " n"],
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> "LowRankProbe":
        """Fit to labels `[n]`, any integers. UserError as `LogisticProbe.fit`, and for a rank below 1."""
        positive(C=self.C, max_iter=self.max_iter)
        if self.rank < 1:
            raise UserError(f"a rank is at least 1, got {self.rank}")
        check_lengths(X, y, sample_weight)
        if y.ndim != 1:
            raise UserError(f"expected labels [n] of one target, got {list(y.shape)}")
        weight = weights_of(sample_weight, X, len(y))
        classes, codes = codes_of(y, weight)
        columns = Columns.make(codes, classes, weight[None], self.class_weight)
        found = [self._fit(rows, columns) for rows in rows_of(X, weight)]
        coef = torch.cat([each[0] for each in found])[:, 0]
        intercept = torch.cat([each[1] for each in found])[:, 0]
        slices = first_of(X).shape[:-2]
        self.classes_, self.n_iter_ = classes, max(each[2] for each in found)
        self._keep(coef, intercept, slices, [len(classes)])
        rank = min(self.rank, len(classes) - 1, coef.shape[-1])
        _, _, V = torch.linalg.svd(coef - coef.mean(-2, keepdim=True), full_matrices=False)
        self.basis_ = V[:, :rank].reshape(*slices, rank, -1)
        return self

    def _fit(self, rows: Rows, columns: Columns) -> tuple[Tensor, Tensor, int]:
        """Weights [slice, 1, class, d] on raw activations, intercepts and steps."""
        loss, gram = columns.loss(), rows.gram()
        penalty = columns.penalty(rows, self.C, self.standardize)
        start = columns.start(len(rows.mean), rows.d)
        L = factor(gram, loss.bend, penalty.mean((1, 2)))
        full = minimise(rows, loss, penalty, start, L, tol=self.tol, max_iter=self.max_iter)
        if isinstance(loss, ManyClasses) and self.rank < min(start.shape[2] - 1, rows.d):
            theta, rounds = self._alternate(rows, loss, penalty, full.theta, L)
            full = Fit(theta, full.margins, full.n_iter + rounds)
        return *columns.unfold(rows, full), full.n_iter

    def _alternate(
        self, rows: Rows, loss: ManyClasses, penalty: Tensor, theta: Tensor, L: Tensor
    ) -> tuple[Tensor, int]:
        """The factors in turn, from the full fit `theta`; L is the Gram matrix's factor, of the
        preconditioner."""
        W, b = theta[..., :-1], theta[..., -1:]
        U = torch.linalg.svd(W @ L[:, None], full_matrices=False).U[..., : self.rank]
        V, before = U.mT @ W, torch.inf
        weight = loss.share[0, 0]
        root = penalty.sqrt()
        steps = 0
        for _ in range(ROUNDS):
            # Orthonormal columns of U leave |UV| = |V|, and intercepts move along them.
            mixed = ManyClasses(loss.target, loss.share, loss.offset + b, U)
            latent = torch.cat([V, torch.zeros_like(V[..., :1])], -1)
            fit = minimise(rows, mixed, penalty, latent, L, tol=self.tol, max_iter=self.max_iter)
            V, b = fit.theta[..., :-1], b + U @ fit.theta[..., -1:]
            # Now V with orthonormal rows under the penalty, and U fitted as a probe on what V reads.
            P, S, Q = torch.linalg.svd(V * root, full_matrices=False)
            U, V = U @ (P * S[..., None, :]), Q / root
            read = Held(rows.times(V[:, 0]).mT, weight)
            scale = read.scale[:, None, None]
            wide = torch.cat([U * scale, b + U @ read.mean[:, None, :, None]], -1)
            flat = scale.square().reciprocal().expand(-1, len(loss.target), -1, -1)
            inner = factor(read.gram(), loss.bend, flat.mean((1, 2)))
            fit = minimise(read, loss, flat, wide, inner, tol=self.tol, max_iter=self.max_iter)
            U = fit.theta[..., :-1] / scale
            b = fit.theta[..., -1:] - U @ read.mean[:, None, :, None]
            after = _objective(loss, fit, flat)
            steps += 1
            if before - after < self.tol:
                break
            before = after
            U, R = torch.linalg.qr(U)
            V = R @ V
        return torch.cat([U @ V, b], -1), steps


def _objective(loss: ManyClasses, fit: Fit, penalty: Tensor) -> float:
    """Summed over slices, in nats a row."""
    logp = loss.logits(fit.margins).log_softmax(-2)
    chosen = torch.where(loss.target > 0, logp, 0.0)
    entropy = -(chosen * loss.share).sum((-2, -1))
    return float((entropy + (penalty * fit.theta[..., :-1].square()).sum((-2, -1)) / 2).sum())
