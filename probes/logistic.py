"""Multinomial logistic probes over a stack of activations, fitted in one batch."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.errors import UserError


class LogisticProbe:
    """L2-regularised multinomial logistic regression on every slice of a stack at once.

    The objective of a slice is scikit-learn's, `mean cross-entropy + |W|^2 / (2 C n)`, with the
    intercept free and the features standardised with the training set's mean and scale; the scale
    is folded back, so that `coef_` acts on raw activations. Two classes are two rows of `coef_`,
    whose difference is scikit-learn's one: `|W|^2` is then that difference's.

    Fitted by minorisation with Böhning's fixed bound on the Hessian (Böhning 1992, Ann. Inst.
    Statist. Math. 44), one Cholesky factor a slice, with Nesterov's momentum restarted whenever it
    points uphill (O'Donoghue and Candès 2015). No line search, so slices never wait for each other.

    Fitted attributes: `coef_` [slice, class, d], `intercept_` [slice, class], `classes_` [class],
    `n_iter_`.
    """

    coef_: Float[Tensor, "slice class d"]
    intercept_: Float[Tensor, "slice class"]
    classes_: Int[Tensor, " class"]
    n_iter_: int

    def __init__(self, *, C: float = 1.0, tol: float = 1e-5, max_iter: int = 2000) -> None:
        """`C` is the inverse strength of the penalty; `tol` bounds the largest change of a step."""
        self.C, self.tol, self.max_iter = C, tol, max_iter

    def fit(self, X: Float[Tensor, "slice n d"], y: Int[Tensor, " n"]) -> "LogisticProbe":
        """Fit every slice of `X` to the same labels `y` (any integers).

        Raises UserError when fewer than two classes are there to tell apart, when lengths differ,
        or when an activation is not finite.
        """
        _check(X, y)
        self.classes_, target = torch.unique(y, return_inverse=True)
        k, n = len(self.classes_), X.shape[1]
        if k < 2:
            raise UserError(f"a probe needs two classes or more to tell apart, got {k} in {n} labels")
        mean = X.mean(1, keepdim=True)
        scale = X.std(1, keepdim=True, unbiased=False)
        scale = torch.where(scale > 1e-6 * (1 + mean.abs()), scale, torch.ones_like(scale))
        Z = torch.cat([(X - mean) / scale, torch.ones_like(X[..., :1])], -1)
        W, self.n_iter_ = _minimise(Z, torch.nn.functional.one_hot(target, k).to(Z), self)
        self.coef_ = W[..., :-1] / scale
        self.intercept_ = W[..., -1] - (self.coef_ * mean).sum(-1)
        return self

    def decision_function(self, X: Float[Tensor, "slice m d"]) -> Float[Tensor, "slice m class"]:
        """Logits of each row under its slice's probe."""
        return X @ self.coef_.mT + self.intercept_[:, None]

    def predict(self, X: Float[Tensor, "slice m d"]) -> Int[Tensor, "slice m"]:
        """The likeliest class of each row."""
        return self.classes_[self.decision_function(X).argmax(-1)]

    def predict_proba(self, X: Float[Tensor, "slice m d"]) -> Float[Tensor, "slice m class"]:
        """Class probabilities of each row, in the order of `classes_`."""
        return self.decision_function(X).softmax(-1)

    def score(self, X: Float[Tensor, "slice m d"], y: Int[Tensor, " m"]) -> Float[Tensor, " slice"]:
        """Accuracy of each slice's probe."""
        return (self.predict(X) == y).float().mean(-1)

    def get_params(self) -> dict[str, float | int]:
        """The constructor's arguments, as scikit-learn names them."""
        return {"C": self.C, "tol": self.tol, "max_iter": self.max_iter}

    @property
    def direction_(self) -> Float[Tensor, "slice class d"]:
        """Each class's unit direction in activation space, for steering."""
        centred = self.coef_ - self.coef_.mean(1, keepdim=True)
        return torch.nn.functional.normalize(centred, dim=-1)


def _check(X: Tensor, y: Tensor) -> None:
    if X.ndim != 3 or y.ndim != 1 or X.shape[1] != len(y):
        raise UserError(
            f"expected activations [slice, n, d] with labels [n], got {list(X.shape)} with {list(y.shape)}"
        )
    if not torch.isfinite(X).all():
        raise UserError("expected finite activations, got NaN or infinity")


def _minimise(Z: Tensor, Y: Tensor, probe: LogisticProbe) -> tuple[Tensor, int]:
    n, d = Z.shape[1:]
    k = Y.shape[1]
    # Two rows +-w/2 stand for scikit-learn's one row w, whose square is twice theirs.
    penalty = torch.full((d,), (2 if k == 2 else 1) / (probe.C * n), dtype=Z.dtype, device=Z.device)
    penalty[-1] = 0.0  # the intercept is free
    # The softmax Hessian is at most (I - 11'/k)/2 (x) Z'Z/n; a little is added so that the factor exists
    # when features are constant or repeated.
    bound = 0.5 * (Z.mT @ Z) / n + torch.diag(penalty)
    jitter = 1e-7 * bound.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    factor = torch.linalg.cholesky(bound + jitter * torch.eye(d, dtype=Z.dtype, device=Z.device))
    W = Z.new_zeros(len(Z), k, d)
    V, momentum = W.clone(), torch.ones(len(Z), 1, 1, dtype=Z.dtype, device=Z.device)
    for done in range(1, probe.max_iter + 1):
        residual = (Z @ V.mT).softmax(-1) - Y
        gradient = residual.mT @ Z / n + V * penalty
        new = V - torch.cholesky_solve(gradient.mT, factor).mT
        step = new - W
        uphill = (gradient * step).sum((1, 2), keepdim=True) > 0
        longer = torch.where(uphill, 1.0, (1 + (1 + 4 * momentum**2).sqrt()) / 2)
        V = new + torch.where(uphill, 0.0, (momentum - 1) / longer) * step
        W, momentum = new, longer
        if step.abs().max() < probe.tol:
            return W, done
    return W, probe.max_iter
