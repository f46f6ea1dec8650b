"""Rows with their labels and problems, and how a recipe is fitted to them and read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from activations.errors import UserError
from probes.checks import check_lengths
from probes.estimator import Classifier, share_of
from probes.folds import folds_of
from probes.lda import LDAProbe
from probes.logistic import LogisticProbe
from probes.logistic_cv import LogisticProbeCV
from probes.low_rank import LowRankProbe
from probes.means import MeansProbe

Probe = LogisticProbe | LogisticProbeCV | LDAProbe | LowRankProbe | MeansProbe
Recipe = Callable[[], Probe]
"""Makes a probe that is not fitted yet: `LogisticProbeCV`, or `lambda: LogisticProbe(C=0.1)`. All that is
compared with it is fitted by the same recipe, the search for a strength included."""


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

    def by(self, names: Sequence[str]) -> dict[str, "Labelled"]:
        """The rows of each name (a type, a length, a position), in order of appearance."""
        if len(names) != len(self):
            raise UserError(f"expected a name for each of {len(self)} rows, got {len(names)}")
        return {
            name: self.take(torch.tensor([each == name for each in names])) for name in dict.fromkeys(names)
        }

    def by_slice(self, names: Sequence[str]) -> dict[str, "Labelled"]:
        """Each slice of the first axis (a layer) by its name, with all rows."""
        if self.X.ndim < 3 or len(names) != len(self.X):
            raise UserError(f"expected activations [{len(names)}, *slice, n, d], got {list(self.X.shape)}")
        return {name: Labelled(X, self.y, self.problem) for name, X in zip(names, self.X, strict=True)}


def joined(parts: Sequence[Labelled]) -> Labelled:
    """All rows, one set after the other. UserError where their slices, widths or targets differ."""
    if len({(part.X.shape[:-2], part.X.shape[-1], part.y.shape[1:]) for part in parts}) > 1:
        shapes = ", ".join(f"{list(part.X.shape)} with labels {list(part.y.shape)}" for part in parts)
        raise UserError(f"expected sets that differ in their number of rows alone, got {shapes}")
    return Labelled(
        torch.cat([part.X for part in parts], -2),
        torch.cat([part.y for part in parts]),
        torch.cat([part.problems for part in parts]),
    )


def shared_folds(sets: Mapping[str, Labelled], folds: int, seed: int) -> dict[str, Int[Tensor, " n"]]:
    """The fold of each row of each set; a problem is in the same fold wherever it occurs."""
    problems = torch.cat([each.problems for each in sets.values()])
    fold = folds_of(len(problems), folds, groups=problems, seed=seed)
    return dict(zip(sets, fold.split([len(each) for each in sets.values()]), strict=True))


def fitted(recipe: Recipe, rows: Labelled) -> Probe:
    """A new probe fitted to these rows; a search for its strength splits them by problem."""
    probe = recipe()
    if isinstance(probe, LogisticProbeCV):
        return probe.fit(rows.X, rows.y, groups=rows.problems)
    return probe.fit(rows.X, rows.y)


def hits(
    probe: Classifier, X: Float[Tensor, "*slice m d"], y: Int[Tensor, "m *target"]
) -> Bool[Tensor, "*slice_target m"]:
    """Whether each row's class is predicted, `[*slice, *target, m]`; never where the fit lacks it."""
    right = probe.predict(X) == y.to(probe.classes_.device)
    return right.movedim(-2, -1) if y.ndim == 2 else right


def shares_right(correct: Shaped[Tensor, "*rest m"]) -> Float[Tensor, "*rest"]:
    """The share of rows read right (the mean, of shares)."""
    return (share_of(correct) if correct.dtype == torch.bool else correct.double().mean(-1)).float()
