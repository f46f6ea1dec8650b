"""Logistic probes whose strength cross-validation chooses."""

from collections.abc import Sequence
from typing import Literal

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
from undertext.probes.folds import folds_of
from undertext.probes.logistic import path
from undertext.probes.rows import Rows, Stream

CS = tuple(10.0**power for power in range(-5, 3))
"""Inverse penalties that are tried unless others are given."""


class LogisticProbeCV(Classifier):
    """`LogisticProbe` at the strength that reads held-out rows best, chosen for each slice and target.

    All folds and all targets are fitted together on one matrix, with weights of zero for held-out rows, from
    the strongest penalty to the weakest, each fit started from the last. The fit to all rows goes along,
    so that nothing is fitted again once the strength is known. Each fold standardises by its own training
    rows.

    A fold whose training rows show one class only says nothing about that target and is left out. Among
    equal scores the strongest penalty wins.

    Fitted attributes: those of `LogisticProbe`, `C_` [*slice, *target], `scores_` [*slice, *target, C, fold]
    (higher is better; NaN where a fold was left out) and `Cs_` [C], ascending.

    Args:
        Cs: inverse penalties to try.
        cv: number of folds.
        scoring: what is best on held-out rows, "accuracy" or "log_loss" (its mean, negated).
        seed: deals rows to folds, where no groups are given.
        class_weight: as in `LogisticProbe`, and so are the rest; scores use the sample weights alone.
        standardize: whether the penalty falls on the weights of standardised features.
        tol: what a fit may still gain when it ends, in nats a row.
        max_iter: most steps of a fit.
    """

    C_: Float[Tensor, "*slice_target"]
    scores_: Float[Tensor, "*slice_target C fold"]
    Cs_: Float[Tensor, " C"]
    n_iter_: int

    def __init__(
        self,
        *,
        Cs: Sequence[float] = CS,
        cv: int = 5,
        scoring: Literal["accuracy", "log_loss"] = "accuracy",
        seed: int = 0,
        class_weight: ClassWeight = None,
        standardize: bool = True,
        tol: float = 1e-8,
        max_iter: int = 1000,
    ) -> None:
        self.Cs, self.cv, self.scoring, self.seed = Cs, cv, scoring, seed
        self.class_weight, self.standardize, self.tol, self.max_iter = (
            class_weight,
            standardize,
            tol,
            max_iter,
        )

    def fit(
        self,
        X: Float[Tensor, "*slice n d"] | Stream,
        y: Int[Tensor, "n *target"],
        sample_weight: Float[Tensor, " n"] | None = None,
        groups: Int[Tensor, " n"] | None = None,
    ) -> "LogisticProbeCV":
        """Choose and fit; rows of one group (any integers) are never on both sides of a split.

        Raises:
            UserError: as `LogisticProbe.fit`, and when there are fewer rows or groups than folds, or no
                fold whose training rows show two classes.
        """
        for C in self.Cs:
            positive(C=C)
        if not self.Cs or self.scoring not in ("accuracy", "log_loss"):
            raise UserError(
                f"expected Cs to try and scoring accuracy or log_loss, got {self.Cs} and {self.scoring}"
            )
        check_lengths(X, y, sample_weight)
        weight = weights_of(sample_weight, X, len(y))
        classes, codes = codes_of(y, weight)
        fold = folds_of(len(y), self.cv, groups=groups, seed=self.seed).to(weight.device)
        held = fold == torch.arange(self.cv, device=fold.device)[:, None]
        weights = torch.cat([weight * ~held, weight[None]])
        if bool((weights.sum(-1) == 0).any()):
            raise UserError("a fold is trained on rows of weight zero alone: use fewer folds or other groups")
        columns = Columns.make(codes, classes, weights, self.class_weight)
        if not bool((columns.total > 0).view(-1, len(codes))[:-1].any(0).all()):
            raise UserError(
                "no fold's training rows show two classes of some target: use fewer folds or groups"
            )
        Cs = sorted(self.Cs)
        found = [self._slices(rows, columns, codes, weight * held, Cs) for rows in rows_of(X, weight)]
        self.classes_, self.n_iter_ = classes, max(each[3] for each in found)
        parts = zip(*(each[:3] for each in found), strict=True)
        coef, intercept, scores = (torch.cat(part) for part in parts)
        self._keep(coef, intercept, first_of(X).shape[:-2], [*y.shape[1:], len(classes)])
        shape = self.intercept_.shape[:-1]
        self.Cs_ = torch.tensor(Cs, dtype=coef.dtype, device=coef.device)
        self.scores_ = scores.reshape(*shape, *scores.shape[-2:]).to(coef)
        self.C_ = self.Cs_[first_best(scores)].reshape(shape)
        return self

    def _slices(
        self, rows: Rows, columns: Columns, codes: Tensor, held: Tensor, Cs: Sequence[float]
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        """Weights and intercepts at the best strength, scores [slice, target, C, fold], and steps taken."""
        targets = len(codes)
        steps, scores, n_iter = [], [], 0
        for step in path(
            rows, columns, Cs, standardize=self.standardize, tol=self.tol, max_iter=self.max_iter
        ):
            logits = step.logits.unflatten(1, (-1, targets))[:, :-1]
            scores.append(self._score(logits, columns, codes, held))
            steps.append((step.coef[:, -targets:], step.intercept[:, -targets:]))
            n_iter = max(n_iter, step.n_iter)
        stacked = torch.stack(scores, -2)
        best = first_best(stacked)
        coef, intercept = (torch.stack(each) for each in zip(*steps, strict=True))
        slices = torch.arange(len(best), device=best.device)[:, None]
        each = torch.arange(targets, device=best.device)
        return coef[best, slices, each], intercept[best, slices, each], stacked, n_iter

    def _score(self, logits: Tensor, columns: Columns, codes: Tensor, held: Tensor) -> Tensor:
        """[slice, target, fold] of logits [slice, fold, target, class, n] on each fold's held-out rows."""
        if self.scoring == "accuracy":
            value = (logits.argmax(-2) == codes).to(held)
        else:
            least = torch.finfo(held.dtype).tiny
            chosen = logits.log_softmax(-2).gather(-2, codes.expand(*logits.shape[:2], -1, -1)[..., None, :])
            value = chosen.squeeze(-2).clamp(min=torch.tensor(least, dtype=held.dtype).log().item())
        # The same sum above the line and below it: all right is 1, and equal counts are equal.
        mean = (value * held[:, None]).sum(-1, dtype=torch.float64) / held.sum(-1, dtype=torch.float64)[
            :, None
        ]
        told = (columns.total > 0).view(-1, len(codes))[:-1]
        return mean.masked_fill(~told, torch.nan).mT


def first_best(scores: Float[Tensor, "*rest C fold"]) -> Int[Tensor, "*rest"]:
    """The first C of the highest mean over folds. Means that differ by rounding (1e-12) are equal: which of
    two folds has the better share must not tell."""
    mean = scores.nanmean(-1)
    return (mean >= mean.amax(-1, keepdim=True) - 1e-12).int().argmax(-1)
