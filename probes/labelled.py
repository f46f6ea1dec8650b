"""Rows of features with their labels, and the problem that each row is about."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import check_lengths


@dataclass(frozen=True, eq=False)
class Labelled:
    """Activations, or any features, with what a probe is to read off them.

    UserError where lengths differ.
    """

    X: Float[Tensor, "*slice n d"]
    y: Int[Tensor, "n *target"]
    problem: Int[Tensor, " n"] | None = None
    """Which problem a row is about: no problem is fitted and read. Rows of several sets with one number are
    of one problem. Without, row i is of problem i, in every set."""

    def __post_init__(self) -> None:
        check_lengths(self.X, self.y, None)
        if self.problem is not None and self.problem.shape != (len(self.y),):
            raise UserError(
                f"expected a problem for each row, [{len(self.y)}], got {list(self.problem.shape)}"
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def problems(self) -> Int[Tensor, " n"]:
        """`problem`, or the rows' numbers, on the CPU."""
        return torch.arange(len(self)) if self.problem is None else self.problem.cpu()

    def take(self, rows: Int[Tensor, " m"] | Bool[Tensor, " n"]) -> "Labelled":
        """Some of the rows, by number or by a mask; each keeps its problem."""
        return Labelled(
            self.X[..., rows.to(self.X.device), :], self.y[rows.to(self.y.device)], self.problems[rows.cpu()]
        )
