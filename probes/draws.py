"""Labels that mean nothing, drawn as often as asked: control labels and shuffled ones."""

from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.controls import control_labels
from undertext.probes.labelled import Labelled

SEEDS = (0, 1, 2)
"""Draws of a control."""


def control_draws(
    y: Int[Tensor, "n *target"],
    fit_keys: Sequence[Hashable],
    read_keys: Sequence[Hashable],
    *,
    seeds: Sequence[int] = SEEDS,
) -> tuple[Int[Tensor, "n target draw"], Int[Tensor, "m target draw"]]:
    """`control_labels` of the rows fitted, whose labels are `y`, and of the rows read: a key has one label
    wherever it occurs, another for every target and seed.

    Raises UserError where `fit_keys` and rows differ in number, and where a draw gives all fitted rows one
    label.
    """
    if len(fit_keys) != len(y):
        raise UserError(f"expected a key for each of {len(y)} rows, got {len(fit_keys)}")
    columns, keys = y.reshape(len(y), -1).cpu(), [*fit_keys, *read_keys]
    targets = columns.shape[1]
    draws = torch.stack(
        [
            torch.stack(
                [control_labels(keys, each, seed=seed * targets + i) for i, each in enumerate(columns.T)], -1
            )
            for seed in seeds
        ],
        -1,
    )
    drawn = draws[: len(y)]
    if bool((drawn == drawn[:1]).all(0).any()):
        raise UserError(
            f"control labels show one class alone: the fitted rows have {len(set(fit_keys))} distinct keys, "
            "take longer keys or other seeds"
        )
    return drawn, draws[len(y) :]


def shuffled_draws(rows: Labelled, *, seeds: Sequence[int] = SEEDS) -> Int[Tensor, "n target draw"]:
    """The rows' labels in random order, another for every seed.

    Where all rows of a problem have the same labels, problems trade them, else rows do: rows of one problem
    alike are fewer than they seem.
    """
    problem = torch.unique(rows.problems, return_inverse=True)[1]
    y, problems = rows.y.reshape(len(rows), -1).cpu(), int(problem.max()) + 1
    label = y.new_zeros(problems, y.shape[1])
    label[problem] = y  # one row of each, whichever
    by_problem = bool((label[problem] == y).all())
    drawn = []
    for seed in seeds:
        order = torch.randperm(
            problems if by_problem else len(y), generator=torch.Generator().manual_seed(seed)
        )
        drawn.append(label[order][problem] if by_problem else y[order])
    return torch.stack(drawn, -1)
