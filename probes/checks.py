"""What probes are fitted to, and what is refused of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.rows import Held, Rows, Stream, Streamed, in_working_dtype

ClassWeight = Mapping[int, float] | Literal["balanced"] | None
"""A factor for each class (1 for those not named), or `balanced`: each class weighs the same in total."""

TABLED = 4096
"""Labels within so small a range are looked up in a table, which is faster than sorting them."""

SLICE_BYTES = 2**30
"""Slices are fitted together on an accelerator up to this size. On a CPU they go singly, which is faster."""


def check_lengths(X: Tensor | Stream, y: Tensor, weight: Tensor | None) -> None:
    """UserError where shapes do not fit: X `[*slice, n, d]`, y `[n]` or `[n, target]`, weight `[n]`."""
    n = X.shape[-2] if isinstance(X, Tensor) and X.ndim >= 2 else len(y) if y.ndim else -1
    given = list(X.shape) if isinstance(X, Tensor) else "batches"
    if (isinstance(X, Tensor) and X.ndim < 2) or y.ndim not in (1, 2) or len(y) != n:
        raise UserError(
            f"expected activations [*slice, n, d] with labels [n] or [n, target], got {given} with "
            f"{list(y.shape)}"
        )
    if n == 0 or 0 in y.shape or (isinstance(X, Tensor) and 0 in X.shape):
        raise UserError(f"there is nothing to fit in activations {given} with labels {list(y.shape)}")
    if weight is not None and weight.shape != (n,):
        raise UserError(f"expected a weight for each row, [{n}], got {list(weight.shape)}")


def weights_of(weight: Tensor | None, X: Tensor | Stream, n: int) -> Float[Tensor, " n"]:
    """Rows' weights, all 1 by default, where and as X is; UserError unless finite, none negative, some
    positive."""
    like = in_working_dtype(first_of(X))
    if weight is None:
        return torch.ones(n, dtype=like.dtype, device=like.device)
    weight = weight.to(like)
    if not bool(torch.isfinite(weight).all()) or bool((weight < 0).any()) or not bool((weight > 0).any()):
        raise UserError("weights must be finite, none negative and some positive")
    return weight


def rows_of(X: Tensor | Stream, weight: Float[Tensor, " n"]) -> Iterator[Rows]:
    """The slices of X as standardised rows, as many slices together as is good where X is."""
    if not isinstance(X, Tensor):
        yield Streamed(X, weight)
        return
    flat = X.reshape(-1, *X.shape[-2:])
    together = 1 if X.device.type == "cpu" else max(1, SLICE_BYTES // (4 * flat[0].numel()))
    for piece in flat.split(together):
        yield Held(in_working_dtype(piece), weight)


def first_of(X: Tensor | Stream) -> Tensor:
    """The tensor, or the first batch."""
    if isinstance(X, Tensor):
        return X
    for batch in X:
        return batch
    raise UserError("there is nothing to fit: no batch came")


def codes_of(
    y: Int[Tensor, "n *target"] | Bool[Tensor, "n *target"], weight: Float[Tensor, " n"]
) -> tuple[Int[Tensor, " class"], Int[Tensor, "target n"]]:
    """The classes that rows of positive weight show, ascending, and each row's place among them.

    A row whose class is not among them has weight zero and gets place 0. Raises UserError when labels are
    not whole numbers, or when a target shows fewer than two classes.
    """
    if y.is_floating_point() or y.is_complex():
        raise UserError(f"labels are whole numbers, got {y.dtype}")
    y = y.long().to(weight.device).reshape(len(y), -1).T.contiguous()
    seen = y if bool((weight > 0).all()) else y[:, weight > 0]
    least, most = seen.aminmax(dim=-1)
    if bool((least == most).any()):
        target = int((least == most).nonzero()[0])
        what = f"target {target} has" if len(y) > 1 else "there is"
        raise UserError(
            f"a probe needs two classes or more to tell apart: {what} only {int(seen[target, 0])} in "
            f"{seen.shape[1]} labels of positive weight"
        )
    low, high = int(y.min()), int(y.max())
    if high - low >= TABLED:
        classes = torch.unique(seen)
        codes = torch.searchsorted(classes, y).clamp(max=len(classes) - 1)
        return classes, torch.where(classes[codes] == y, codes, 0)
    there = torch.zeros(high - low + 1, dtype=torch.bool, device=y.device)
    there[(seen - low).flatten()] = True
    if bool(there.all()):  # without gaps no table is needed
        return torch.arange(low, high + 1, device=y.device), y - low
    place = (there.long().cumsum(0) - 1).clamp(min=0) * there
    return there.nonzero()[:, 0] + low, place[y - low]


def class_factors(
    class_weight: ClassWeight, classes: Int[Tensor, " class"], totals: Float[Tensor, "column class"]
) -> Float[Tensor, "column class"]:
    """What each class's rows are multiplied by; `totals` are the classes' summed weights.

    `balanced` is `total / (classes present * the class's total)`. Raises UserError for a class that is
    not there.
    """
    out = torch.ones_like(totals)
    if class_weight is None:
        return out
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise UserError(f"class_weight is 'balanced', a mapping or None, got {class_weight!r}")
        present = totals > 0
        fair = totals.sum(-1, keepdim=True) / present.sum(-1, keepdim=True)
        return torch.where(present, fair / totals.clamp(min=torch.finfo(totals.dtype).tiny), 0.0)
    index = {label: i for i, label in enumerate(classes.tolist())}
    for label, factor in class_weight.items():
        if label not in index:
            raise UserError(f"class_weight names class {label}; there are {', '.join(map(str, index))}")
        if not 0 <= factor < float("inf"):
            raise UserError(f"class_weight must be finite and not negative, got {factor} for class {label}")
        out[:, index[label]] = factor
    return out


def positive(**values: float | int) -> None:
    """UserError for a hyperparameter that is not a positive finite number."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise UserError(f"{name} must be positive and finite, got {value}")


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
