"""Logistic fits along a path of strengths, each started from the one before."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from undertext.probes.columns import Columns
from undertext.probes.lbfgs import factor, minimise
from undertext.probes.rows import Rows


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
