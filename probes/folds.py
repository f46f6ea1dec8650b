"""Splitting rows into folds for cross-validation."""

import torch
from jaxtyping import Int
from torch import Tensor

from undertext.activations.errors import UserError


def folds_of(n: int, cv: int, *, groups: Int[Tensor, "*n"] | None = None, seed: int = 0) -> Int[Tensor, " n"]:
    """Which of `cv` folds each row belongs to; no group is in two of them.

    Without groups rows are dealt out at random, the folds' sizes differing by one at most. With groups,
    the largest group goes first, each to the fold that is smallest then; among equals their order is random,
    since in order of their numbers a label or type that recurs every `cv` groups would be all in one fold.
    Raises UserError when there are fewer rows, or groups, than folds.
    """
    if cv < 2:
        raise UserError(f"cross-validation needs at least 2 folds, got {cv}")
    if groups is None:
        if n < cv:
            raise UserError(f"expected at least a row for each of {cv} folds, got {n} rows")
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        fold = torch.empty(n, dtype=torch.long)
        fold[order] = torch.arange(n) % cv
        return fold
    if groups.shape != (n,) or groups.is_floating_point():
        raise UserError(f"expected a whole number for each row's group, [{n}], got {list(groups.shape)}")
    _, group, sizes = torch.unique(groups.cpu(), return_inverse=True, return_counts=True)
    if len(sizes) < cv:
        raise UserError(f"expected at least a group for each of {cv} folds, got {len(sizes)} groups")
    filled, of_group = [0] * cv, torch.empty(len(sizes), dtype=torch.long)
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed))
    for each in order[sizes[order].argsort(descending=True, stable=True)].tolist():
        smallest = filled.index(min(filled))
        of_group[each] = smallest
        filled[smallest] += int(sizes[each])
    return of_group[group]
