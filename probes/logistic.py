"""Logistic probes: binary and multinomial, many slices and many targets at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
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
from undertext.probes.lbfgs import factor, minimise
from undertext.probes.rows import Rows, Stream


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
        tol: float = 1e-8,
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
        return self._fit_path(X, y, sample_weight, [self])

    def _fit_path(
        self, X: Tensor | Stream, y: Tensor, sample_weight: Tensor | None, probes: "Sequence[LogisticProbe]"
    ) -> "LogisticProbe":
        """Fit probes that differ in C alone, in their order; self is one of them."""
        for probe in probes:
            positive(C=probe.C, max_iter=probe.max_iter)
        check_lengths(X, y, sample_weight)
        weight = weights_of(sample_weight, X, len(y))
        classes, codes = codes_of(y, weight)
        columns = Columns.make(codes, classes, weight[None], self.class_weight)
        Cs = [probe.C for probe in probes]
        pieces = [
            [
                (step.coef, step.intercept, step.n_iter)
                for step in path(
                    rows,
                    columns,
                    Cs,
                    standardize=self.standardize,
                    tol=self.tol,
                    max_iter=self.max_iter,
                )
            ]
            for rows in rows_of(X, weight)
        ]
        slices = first_of(X).shape[:-2]
        for probe, steps in zip(probes, zip(*pieces, strict=True), strict=True):
            coef, intercept = (torch.cat([step[i] for step in steps]) for i in range(2))
            probe.classes_, probe.n_iter_ = classes, max(step[2] for step in steps)
            probe._keep(coef, intercept, slices, [*y.shape[1:], len(classes)])
        return self


def logistic_path(
    X: Float[Tensor, "*slice n d"] | Stream,
    y: Int[Tensor, "n *target"],
    Cs: Sequence[float],
    sample_weight: Float[Tensor, " n"] | None = None,
    *,
    class_weight: ClassWeight = None,
    standardize: bool = True,
    tol: float = 1e-8,
    max_iter: int = 1000,
) -> list[LogisticProbe]:
    """A `LogisticProbe` for each of `Cs`, ascending: the same as fitting them apart, from one Gram matrix and
    each started where the one before ended. Raises UserError as `LogisticProbe.fit` does.
    """
    if not Cs:
        raise UserError("expected inverse penalties to fit, got none")
    probes = [
        LogisticProbe(C=C, class_weight=class_weight, standardize=standardize, tol=tol, max_iter=max_iter)
        for C in sorted(Cs)
    ]
    probes[0]._fit_path(X, y, sample_weight, probes)
    return probes


class Step(NamedTuple):
    """All columns at one strength."""

    coef: Tensor
    """[slice, column, class, d] on raw activations."""
    intercept: Tensor
    """[slice, column, class]."""
    logits: Tensor
    """[slice, column, class, n] of every row, those of weight zero too."""
    n_iter: int


def path(
    rows: Rows, columns: Columns, Cs: Sequence[float], *, standardize: bool, tol: float, max_iter: int
) -> Iterator[Step]:
    """Fit all columns at each of `Cs` in turn; ascending is fastest. One Gram matrix serves them all."""
    loss = columns.loss()
    gram = rows.gram()
    theta = columns.start(len(rows.mean), rows.d)
    for C in Cs:
        penalty = columns.penalty(rows, C, standardize)
        precondition = factor(gram, loss.bend, penalty.mean((1, 2)))
        # Many classes converge more slowly: by the same measure of what is left, they are further off.
        left = tol if columns.binary else tol / 100
        fit = minimise(rows, loss, penalty, theta, precondition, tol=left, max_iter=max_iter)
        theta = fit.theta
        yield Step(*columns.unfold(rows, fit), columns.logits(fit), fit.n_iter)


STRENGTHS = (0.003, 0.03, 0.3)
"""Inverse penalties tried at every layer, on standardised features."""


@dataclass(frozen=True)
class SelectedProbe:
    """Fitted probes, one a layer, each at the strength that reads the choosing set best."""

    probe: LogisticProbe
    """Slices are layers."""
    strengths: Float[Tensor, " layer"]
    accuracy: Float[Tensor, " layer"]
    """On the choosing set."""

    @property
    def layer(self) -> int:
        """Index of the layer that reads the choosing set best; the earliest of equals."""
        return int(self.accuracy.argmax())

    def correct(self, X: Float[Tensor, "layer n d"], y: Int[Tensor, " n"]) -> Bool[Tensor, "layer n"]:
        """Whether each row is read right at each layer, on the device of the probe."""
        read = self.probe.predict(X)
        return read == y.to(read.device)


def fit_select(
    X: Float[Tensor, "layer n d"],
    y: Int[Tensor, " n"],
    X_choose: Float[Tensor, "layer m d"],
    y_choose: Int[Tensor, " m"],
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> SelectedProbe:
    """Fit every layer at every strength on (X, y); keep each layer's best on (X_choose, y_choose).

    The strongest penalty wins among equals. Raises UserError as `LogisticProbe.fit` does.
    """
    fits = logistic_path(X, y, strengths)
    scores = torch.stack([fit.score(X_choose, y_choose) for fit in fits])
    best = scores.argmax(0)
    layers = torch.arange(len(X), device=best.device)
    # One fit serves as the frame for each layer's best.
    merged = fits[-1]
    merged.n_iter_ = max(fit.n_iter_ for fit in fits)
    merged.coef_ = torch.stack([fit.coef_ for fit in fits])[best, layers]
    merged.intercept_ = torch.stack([fit.intercept_ for fit in fits])[best, layers]
    return SelectedProbe(
        merged, torch.tensor(sorted(strengths), device=best.device)[best], scores[best, layers]
    )
