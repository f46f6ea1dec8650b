"""Logistic probes: binary and multinomial, many slices and many targets at once."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.checks import ClassWeight, check_lengths, codes_of, positive, first_of, rows_of, weights_of
from probes.columns import Columns
from probes.estimator import Classifier
from probes.path import path
from probes.rows import Stream


class LogisticProbe(Classifier):
    """L2-regularised logistic regression on every slice and every target.

    The objective is scikit-learn's, `C * sum of weight * cross-entropy + |W|^2 / 2` with the intercept
    free, on features standardised with the (weighted) mean and scale of the rows; the scale is folded
    back, so that `coef_` acts on raw activations. A constant feature gets no weight. Two classes are two
    rows `-w/2` and `w/2`, and scikit-learn's `w` is their difference.

    A class that a target, among several, never shows has intercept -inf: its probability is 0. Rows of
    weight zero count as absent.

    Fitted attributes: `coef_` [*slice, *target, class, d], `intercept_` [*slice, *target, class], `classes_`
    [class], `direction_`, `n_features_in_`, `n_iter_` (steps of the slowest slice).

    Args:
        C: inverse strength of the penalty.
        class_weight: factors on the weights of each class's rows, or "balanced".
        standardize: whether the penalty falls on the weights of standardised features (else of raw ones).
        tol: a fit ends when what is left to gain is below it, in nats a row. At the default, coefficients
            are within some 1e-4 of the largest in float32.
        max_iter: most steps; a warning says when they did not suffice.
    """

    n_iter_: int

    def __init__(
        self,
        *,
        C: float = 1.0,
        class_weight: ClassWeight = None,
        standardize: bool = True,
        tol: float = 1e-9,
        max_iter: int = 1000,
    ) -> None:
        self.C, self.class_weight, self.standardize = C, class_weight, standardize
        self.tol, self.max_iter = tol, max_iter

    def fit(
        self,
        X: Float[Tensor, "*slice n d"] | Stream,
        y: Int[Tensor, "n *target"],
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> "LogisticProbe":
        """Fit to labels `[n]` or `[n, target]`, any integers; the same labels for every slice.

        X is a tensor, or batches that can be read again and again (a pass for every product).

        Raises:
            UserError: for shapes that do not fit, activations that are not finite, a target with a single
                class, weights that are negative or all zero, a class weight for a class that is not there.
        """
        positive(C=self.C, max_iter=self.max_iter)
        check_lengths(X, y, sample_weight)
        weight = weights_of(sample_weight, X, len(y))
        classes, codes = codes_of(y, weight)
        columns = Columns.make(codes, classes, weight[None], self.class_weight)
        steps = [
            next(path(rows, columns, [self.C], standardize=self.standardize, tol=self.tol, max_iter=self.max_iter))
            for rows in rows_of(X, weight)
        ]
        self.classes_, self.n_iter_ = classes, max(step.n_iter for step in steps)
        self._keep(
            torch.cat([step.coef for step in steps]),
            torch.cat([step.intercept for step in steps]),
            first_of(X).shape[:-2],
            [*y.shape[1:], len(classes)],
        )
        return self
