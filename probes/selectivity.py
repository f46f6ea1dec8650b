"""A probe beside what it must beat: labels that mean nothing, and features that know nothing.

All arms are fitted by one recipe to the same rows and read on the same other rows.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.draws import SEEDS, control_draws, shuffled_draws
from undertext.probes.labelled import Labelled, Recipe, fitted, hits, shares_right
from undertext.probes.logistic_cv import LogisticProbeCV


@dataclass(frozen=True, eq=False)
class Controlled:
    """What a probe and its control read on held-out rows."""

    correct: Bool[Tensor, "*slice_target m"]
    """Whether the probe reads each row right."""
    control_correct: Bool[Tensor, "*slice_target draw m"]
    """Whether the control does, at each draw."""
    seen: Bool[Tensor, " m"] | None = None
    """Of control labels alone: whether the row's key is among those fitted. Of other keys a control probe
    can know nothing: where most rows are such, its accuracy says nothing about memorising."""

    @property
    def accuracy(self) -> Float[Tensor, "*slice_target"]:
        """Share of rows that the probe reads right."""
        return shares_right(self.correct)

    @property
    def control_accuracy(self) -> Float[Tensor, "*slice_target draw"]:
        """Share of rows that the control reads right, at each draw."""
        return shares_right(self.control_correct)

    @property
    def selectivity(self) -> Float[Tensor, "*slice_target"]:
        """Accuracy less the control's, averaged over draws (Hewitt and Liang, arXiv 1909.03368).

        With few keys a draw's labels are uneven, and a control that knows nothing reads their majority.
        """
        return self.accuracy - self.control_accuracy.mean(-1)


def against_control_task(
    fit: Labelled,
    read: Labelled,
    fit_keys: Sequence[Hashable],
    read_keys: Sequence[Hashable],
    *,
    recipe: Recipe = LogisticProbeCV,
    seeds: Sequence[int] = SEEDS,
) -> Controlled:
    """Beside Hewitt and Liang's control task: a random label for each key, the same one wherever it occurs.

    Keys are what the surface shows at a row (a token, a window of tokens); every target and seed has its own
    draw. Task and control are fitted together, as targets on one matrix, so the recipe must take labels
    [n, target].

    Raises UserError where keys and rows differ in number, a draw gives all fitted rows one label, or the
    recipe's probe refuses the rows.
    """
    if len(read_keys) != len(read):
        raise UserError(f"expected a key for each of {len(read)} rows, got {len(read_keys)}")
    drawn, wanted = control_draws(fit.y, fit_keys, read_keys, seeds=seeds)
    known = set(fit_keys)
    seen = torch.tensor([key in known for key in read_keys])
    return _beside(fit, read, drawn, wanted, recipe, seen)


def against_shuffled(
    fit: Labelled, read: Labelled, *, recipe: Recipe = LogisticProbeCV, seeds: Sequence[int] = SEEDS
) -> Controlled:
    """Beside the same recipe fitted to shuffled labels and read against the true ones.

    Shuffled as `shuffled_draws` says. Raises UserError as `against_control_task`, but for keys.
    """
    wanted = _columns(read.y).cpu()[..., None].expand(-1, -1, len(seeds))
    return _beside(fit, read, shuffled_draws(fit, seeds=seeds), wanted, recipe)


def against_features(
    fit: Labelled,
    read: Labelled,
    features: Sequence[tuple[Tensor, Tensor]],
    *,
    recipe: Recipe = LogisticProbeCV,
) -> Controlled:
    """Beside the same labels read off other features of the same rows.

    `features` holds a draw each: those of the rows fitted and of the rows read, `[*slice, n, f]` and
    `[*slice, m, f]`, without slices where they are the same for all. The architecture at random init
    (`activations.random_init`), a seed a draw, and the surface alone (`Surface.features`, or a part of them)
    are such features.

    Raises UserError where there are none, their shapes do not fit, or the recipe's probe refuses them.
    """
    if not features:
        raise UserError("expected features to compare with, got none")
    slices = fit.X.shape[:-2]
    for each in features:
        if any(part.shape[:-2] not in (slices, ()) for part in each):
            given = " and ".join(str(list(part.shape)) for part in each)
            raise UserError(f"expected features with slices {list(slices)} or none, got {given}")
    correct = hits(fitted(recipe, fit), read.X, read.y)
    found = [
        hits(fitted(recipe, Labelled(of_fit, fit.y, fit.problem)), of_read, read.y).expand(correct.shape)
        for of_fit, of_read in features
    ]
    return Controlled(correct, torch.stack([each.to(correct.device) for each in found], -2))


def _columns(y: Int[Tensor, "n *target"]) -> Int[Tensor, "n target"]:
    return y.reshape(len(y), -1)


def _beside(
    fit: Labelled,
    read: Labelled,
    drawn: Int[Tensor, "n target draw"],
    wanted: Int[Tensor, "m target draw"],
    recipe: Recipe,
    seen: Bool[Tensor, " m"] | None = None,
) -> Controlled:
    """The task's labels and the control's as targets of one fit."""
    y = torch.cat([_columns(fit.y).cpu()[..., None], drawn], -1)
    y_read = torch.cat([_columns(read.y).cpu()[..., None], wanted], -1)
    probe = fitted(recipe, Labelled(fit.X, y.flatten(1), fit.problem))
    correct = hits(probe, read.X, y_read.flatten(1)).unflatten(-2, y.shape[1:])
    if fit.y.ndim == 1:
        correct = correct.squeeze(-3)
    return Controlled(correct[..., 0, :], correct[..., 1:, :], seen)
