"""Does a reading hold for types of problems that it was never fitted on, better than the surface does?"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from undertext.probes.labelled import Labelled, Recipe
from undertext.probes.logistic_cv import LogisticProbeCV
from undertext.probes.transfer import Transfer, leave_one_out, transfer

ALL = "all types"


@dataclass(frozen=True, eq=False)
class TypesLeftOut:
    """Whether each row is read right, by probes that saw other problems of its type and by such that did not.

    `seen` and `surface_seen`: fitted on all types; `unseen` and `surface_unseen`: on all types but the row's.
    Both without the row's problem. Rows are in the order given.
    """

    seen: Bool[Tensor, "*slice_target n"]
    unseen: Bool[Tensor, "*slice_target n"]
    surface_seen: Bool[Tensor, "*target n"]
    surface_unseen: Bool[Tensor, "*target n"]
    types: tuple[str, ...]
    """Of each row."""


def leave_types_out(
    rows: Labelled,
    types: Sequence[str],
    surface: Float[Tensor, "n f"],
    *,
    recipe: Recipe = LogisticProbeCV,
    folds: int = 5,
    seed: int = 0,
) -> TypesLeftOut:
    """Read a label ("this step is good") on each type of problem by probes fitted on the others.

    The surface's features (`Surface.features`, made without looking at labels) are fitted by the same recipe
    under the same splits. Probes without a type are fitted to fewer rows than those with all.

    Raises UserError for fewer than two types, lengths that differ, and as `transfer`.
    """
    found = [
        _of(features, types, recipe, folds, seed)
        for features in (rows, Labelled(surface, rows.y, rows.problem))
    ]
    return TypesLeftOut(*found[0], *found[1], tuple(types))


def _of(rows: Labelled, types: Sequence[str], recipe: Recipe, folds: int, seed: int) -> tuple[Tensor, Tensor]:
    sets = rows.by(types)
    unseen = leave_one_out(sets, recipe=recipe, folds=folds, seed=seed)
    seen = transfer(sets, fits={ALL: list(sets)}, recipe=recipe, folds=folds, seed=seed)
    return (
        _in_order(seen, dict.fromkeys(sets, ALL), types),
        _in_order(unseen, {name: name for name in sets}, types),
    )


def _in_order(found: Transfer, fit_of: dict[str, str], types: Sequence[str]) -> Tensor:
    """Rows of all sets, each read by the fit named for its set, as they were before they were split."""
    right = torch.cat([found.correct[fit_of[name], name] for name in found.reads], -1)
    came = torch.cat(
        [torch.tensor([i for i, each in enumerate(types) if each == name]) for name in found.reads]
    )
    return right[..., came.argsort().to(right.device)]
