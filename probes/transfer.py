"""Probes fitted on one set of rows and read on another, for every pair of sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.labelled import (
    Labelled,
    Probe,
    Recipe,
    fitted,
    hits,
    joined,
    shared_folds,
    shares_right,
)
from undertext.probes.logistic_cv import LogisticProbeCV


@dataclass(frozen=True, eq=False)
class Transfer:
    """What probes fitted on each set read on each set, on rows of problems that they were not fitted on."""

    fits: tuple[str, ...]
    reads: tuple[str, ...]
    correct: Mapping[tuple[str, str], Bool[Tensor, "..."]]
    """(fit, read) -> whether each row of the set read is read right, `[*slice, *target, n]`, in its order."""

    @property
    def accuracy(self) -> Float[Tensor, "fit read *slice_target"]:
        """Share of rows read right."""
        return torch.stack(
            [torch.stack([shares_right(self.correct[fit, read]) for read in self.reads]) for fit in self.fits]
        )


def transfer(
    sets: Mapping[str, Labelled],
    *,
    fits: Mapping[str, Sequence[str]] | None = None,
    recipe: Recipe = LogisticProbeCV,
    folds: int = 5,
    seed: int = 0,
) -> Transfer:
    """Fit on each set, read on each set: checkpoints, layers, positions, types, lengths (`Labelled.by`).

    Problems are dealt to folds, the same for all sets; a row is read by the probe fitted without its fold.
    So no problem is on both sides of any figure, the figures of one column are of the same rows, and those
    of one row of probes fitted to as much. The diagonal is a fresh probe.

    Args:
        sets: rows by name, of the same slices, width and targets.
        fits: what is fitted, by name: the sets it pools. Each set alone by default.
        recipe: how each probe is fitted.
        folds: how many.
        seed: deals problems to folds. Sets of other features of the same rows, the surface's say,
            have the same folds.

    Raises UserError where the sets' shapes differ, `fits` names a set that is not there, or a probe refuses
    what it is to be fitted to (its message says which).
    """
    wanted = {name: [name] for name in sets} if fits is None else fits
    for name in {name for parts in wanted.values() for name in parts} - set(sets):
        raise UserError(f"there is no set {name!r} to fit on: there are {', '.join(sets)}")
    joined(list(sets.values()))  # for its checks
    fold = shared_folds(sets, folds, seed)
    return Transfer(
        tuple(wanted),
        tuple(sets),
        {
            (name, read): found
            for name, parts in wanted.items()
            for read, found in _read_all(sets, fold, name, parts, recipe, folds).items()
        },
    )


def leave_one_out(
    sets: Mapping[str, Labelled], *, recipe: Recipe = LogisticProbeCV, folds: int = 5, seed: int = 0
) -> Transfer:
    """`transfer` of probes fitted on all sets but one, named as the set left out: on the diagonal are rows
    of sets never fitted on, elsewhere other problems of sets fitted on. UserError for fewer than two sets.
    """
    if len(sets) < 2:
        raise UserError(f"expected two sets or more to leave one out of, got {', '.join(sets) or 'none'}")
    fits = {name: [other for other in sets if other != name] for name in sets}
    return transfer(sets, fits=fits, recipe=recipe, folds=folds, seed=seed)


def _read_all(
    sets: Mapping[str, Labelled],
    fold: Mapping[str, Tensor],
    name: str,
    parts: Sequence[str],
    recipe: Recipe,
    folds: int,
) -> dict[str, Tensor]:
    """What the probes of one fit, one a fold, read on every set."""
    out: dict[str, Tensor] = {}
    for each, probe in _fits(sets, fold, name, parts, recipe, folds):
        for read, rows in sets.items():
            held = fold[read] == each
            if not bool(held.any()):
                continue
            part = rows.take(held)
            right = hits(probe, part.X, part.y)
            if read not in out:
                out[read] = right.new_zeros(*right.shape[:-1], len(rows))
            out[read][..., held.to(right.device)] = right
    return out


def _fits(
    sets: Mapping[str, Labelled],
    fold: Mapping[str, Tensor],
    name: str,
    parts: Sequence[str],
    recipe: Recipe,
    folds: int,
) -> Iterator[tuple[int, Probe]]:
    for each in range(folds):
        left = {part: fold[part] != each for part in parts}
        try:
            if not any(bool(rows.any()) for rows in left.values()):
                raise UserError("no row is left")
            train = joined([sets[part].take(rows) for part, rows in left.items() if bool(rows.any())])
            probe = fitted(recipe, train)
        except UserError as error:
            raise UserError(f"fitting {name} without the problems of fold {each}: {error}") from error
        yield each, probe
