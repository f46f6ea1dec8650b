"""Iterated null-space projection: take away what a probe reads, fit another, and again."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.labelled import Labelled, Recipe, fitted, hits, shares_right
from undertext.probes.logistic_cv import LogisticProbeCV
from undertext.probes.rows import in_working_dtype
from undertext.probes.subspace import span_of


@dataclass(frozen=True, eq=False)
class Nullspace:
    """Directions in the order they were taken away, and what could be read after each round."""

    basis: Float[Tensor, "*slice direction d"]
    """Orthonormal rows, `per_round` a round: the first rounds' directions are the first rows."""
    per_round: int
    correct: Bool[Tensor, "*slice round m"]
    """Whether a probe fitted after 0, 1, ... rounds reads each held-out row right: one more than rounds."""

    @property
    def accuracy(self) -> Float[Tensor, "*slice round"]:
        """Share of held-out rows read right, after 0, 1, ... rounds."""
        return shares_right(self.correct)

    def taken(self, rounds: int) -> Float[Tensor, "*slice direction d"]:
        """Basis of what the first rounds take away, for ablation."""
        return self.basis[..., : rounds * self.per_round, :]

    def projection(self, rounds: int) -> Float[Tensor, "*slice d d"]:
        """The projection onto what is left after that many rounds."""
        taken = self.taken(rounds)
        return torch.eye(taken.shape[-1]).to(taken) - taken.mT @ taken


def iterated_nullspace(
    fit: Labelled, read: Labelled, *, rounds: int, recipe: Recipe = LogisticProbeCV
) -> Nullspace:
    """Iterated null-space projection of every slice (Ravfogel et al., arXiv 2004.07667).

    A round fits a probe in coordinates of what is left (so that it can neither read nor point along what was
    taken, rounding included) and takes away its weights' span, classes - 1 directions.

    Raises UserError for labels [n, target], rounds that leave no direction, and where a probe refuses the
    rows.
    """
    if fit.y.ndim != 1:
        raise UserError(f"expected labels [n] of one target, got {list(fit.y.shape)}")
    d, per_round = fit.X.shape[-1], len(torch.unique(fit.y)) - 1
    if rounds < 1 or rounds * per_round >= d:
        raise UserError(
            f"expected rounds from 1 to {(d - 1) // max(per_round, 1)}, each taking {per_round} of {d} "
            f"directions, got {rounds}"
        )
    X, X_read = in_working_dtype(fit.X), in_working_dtype(read.X)
    left = torch.eye(d).to(X).expand(*X.shape[:-2], d, d)  # orthonormal rows
    taken, correct = [], []
    for round_ in range(rounds + 1):
        probe = fitted(recipe, Labelled(X @ left.mT, fit.y, fit.problem))
        correct.append(hits(probe, X_read @ left.mT, read.y))
        if round_ < rounds:
            whole = torch.linalg.qr(span_of(probe).mT, mode="complete").Q.mT
            taken.append(whole[..., :per_round, :] @ left)
            left = whole[..., per_round:, :] @ left
    return Nullspace(torch.cat(taken, -2), per_round, torch.stack(correct, -2))
