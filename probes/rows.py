"""The rows a probe is fitted to: their moments, and rows standardised, held in memory or streamed in as many
passes as it takes.
"""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError

BLOCK = 192
"""Columns of a Gram matrix worked out at once: a third less work than the whole, which has all twice."""


def gram(Z: Float[Tensor, "slice n d"], weight: Float[Tensor, " n"]) -> Float[Tensor, "slice d d"]:
    """`sum over rows of weight * z z'`, exactly symmetric."""
    d = Z.shape[-1]
    left = Z if bool((weight == weight[0]).all()) else Z * weight[:, None]
    out = Z.new_empty(len(Z), d, d)
    for i in range(0, d, BLOCK):
        block = left[..., i : i + BLOCK].mT @ Z[..., i:]
        if left is Z:
            block *= weight[0]
        square = block[..., : block.shape[-2]]
        out[:, i : i + BLOCK, i:] = block
        out[:, i:, i : i + BLOCK] = block.mT
        # Within a block on the diagonal the two triangles may differ in the last bit.
        out[:, i : i + BLOCK, i : i + BLOCK] = (square + square.mT) / 2
    return out


class Moments:
    """Weighted mean and scatter of rows that come in batches, merged in float64.

    The merge is that of Chan, Golub and LeVeque (1983, Am. Stat. 37): each batch is centred by its own mean,
    so that features far from zero lose nothing.
    """

    weight: float
    mean: Float[Tensor, "slice d"]
    scatter: Float[Tensor, "slice d d"]
    """`sum of weight * (x - mean)(x - mean)'`."""

    def __init__(self) -> None:
        self.weight = 0.0

    def add(self, X: Float[Tensor, "slice b d"], weight: Float[Tensor, " b"]) -> None:
        """Take in a batch."""
        total = float(weight.sum())
        if total == 0:
            return
        mean = (weight / total)[None, None] @ X
        Z = X - mean
        mean, scatter = mean[:, 0].double(), gram(Z, weight).double()
        if self.weight == 0:
            self.weight, self.mean, self.scatter = total, mean, scatter
            return
        step = mean - self.mean
        both = self.weight + total
        self.scatter += scatter + step[:, :, None] * step[:, None, :] * (self.weight * total / both)
        self.mean += step * (total / both)
        self.weight = both


def scale_of(
    mean: Float[Tensor, "slice d"], deviation: Float[Tensor, "slice d"], eps: float
) -> tuple[Float[Tensor, "slice d"], Tensor]:
    """Standard deviations with 1 for constant features, and which those are.

    Constant is what varies by no more than rounding (`eps`) in the feature's size could make it seem to.
    """
    constant = deviation <= 4 * eps * mean.abs()
    return torch.where(constant, torch.ones_like(deviation), deviation), constant


Stream = Iterable[Tensor]
"""Batches of rows `[*slice, b, d]`, the same ones in the same order whenever it is iterated: a list of
tensors, or an object whose `__iter__` reads them anew."""


class Held:
    """Rows in memory, standardised."""

    def __init__(self, X: Float[Tensor, "slice n d"], weight: Float[Tensor, " n"]) -> None:
        self.n, self.d = X.shape[1:]
        self._share = weight / weight.sum()
        # Sums as products: torch's own reduction over rows takes four times as long. Twice, since the first
        # mean of features far from zero is off by rounding.
        first = self._share[None, None] @ X
        Z = X - first
        rest = self._share[None, None] @ Z
        Z -= rest
        self.mean = (first + rest)[:, 0]
        deviation = (self._share[None, None] @ Z.square())[:, 0].sqrt()
        refuse_not_finite(deviation)
        self.scale, constant = scale_of(self.mean, deviation, torch.finfo(X.dtype).eps)
        Z /= self.scale[:, None]
        if constant.any():
            Z *= ~constant[:, None]
        self.Z = Z

    def gram(self) -> Float[Tensor, "slice d d"]:
        """The weighted mean of `z z'`."""
        return gram(self.Z, self._share)

    def times(self, W: Float[Tensor, "slice c d"]) -> Float[Tensor, "slice c n"]:
        """`W Z'`."""
        # This way round, and as plain matrices, it takes three quarters of the time of `W @ Z.mT`.
        if len(W) == 1:
            return (self.Z[0] @ W[0].T).T.contiguous()[None]
        return (self.Z @ W.mT).mT.contiguous()

    def transposed(self, R: Float[Tensor, "slice c n"]) -> Float[Tensor, "slice c d"]:
        """`R Z`."""
        return (R[0] @ self.Z[0])[None] if len(R) == 1 else R @ self.Z

    def batches(self) -> Iterator[tuple[slice, Float[Tensor, "slice b d"]]]:
        """All rows as one batch."""
        yield slice(0, self.n), self.Z


class Streamed:
    """Rows that are read anew for every product; what is kept is `[slice, d, d]` and what the fit keeps a
    row."""

    def __init__(self, stream: Stream, weight: Float[Tensor, " n"]) -> None:
        if isinstance(stream, Iterator):
            raise UserError(
                "rows are read several times: expected a list of batches, or an object that can be iterated "
                "again and again, got an iterator that ends after one pass"
            )
        self._stream, self.n = stream, len(weight)
        moments = Moments()
        for rows, X in self._read():
            moments.add(X, weight[rows].to(X))
        dtype = X.dtype
        covariance = moments.scatter / moments.weight
        deviation = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        refuse_not_finite(deviation)
        scale, constant = scale_of(moments.mean, deviation, torch.finfo(dtype).eps)
        self.d = scale.shape[-1]
        self._gram = (covariance / scale[:, :, None] / scale[:, None, :]).to(dtype)
        self._gram *= ~(constant[:, :, None] | constant[:, None, :])
        self._inverse = ((~constant) / scale).to(dtype)[:, None]
        self.mean, self.scale = moments.mean.to(dtype), scale.to(dtype)

    def gram(self) -> Float[Tensor, "slice d d"]:
        """The weighted mean of `z z'`."""
        return self._gram

    def times(self, W: Float[Tensor, "slice c d"]) -> Float[Tensor, "slice c n"]:
        """`W Z'`, in one pass."""
        return torch.cat([W @ Z.mT for _, Z in self.batches()], -1)

    def transposed(self, R: Float[Tensor, "slice c n"]) -> Float[Tensor, "slice c d"]:
        """`R Z`, in one pass."""
        out = self.mean.new_zeros(len(self.mean), R.shape[-2], self.d)
        for rows, Z in self.batches():
            out += R[..., rows] @ Z
        return out

    def batches(self) -> Iterator[tuple[slice, Float[Tensor, "slice b d"]]]:
        """One pass."""
        for rows, X in self._read():
            yield rows, (X - self.mean[:, None]) * self._inverse

    def _read(self) -> Iterator[tuple[slice, Tensor]]:
        at, shape = 0, None
        for X in self._stream:
            if X.ndim < 2 or (shape is not None and shape != (X.shape[:-2], X.shape[-1])):
                raise UserError(
                    f"expected batches [*slice, b, d] of one shape but for b, got {list(X.shape)}"
                )
            shape = (X.shape[:-2], X.shape[-1])
            X = in_working_dtype(X).reshape(-1, *X.shape[-2:])
            rows = slice(at, at + X.shape[1])
            at = rows.stop
            if at > self.n:
                break
            yield rows, X
        if at != self.n:
            raise UserError(f"expected as many rows as labels, got {at} or more rows with {self.n} labels")


PIECE = 8192
"""Rows that are copied to float64 at once."""

Rows = Held | Streamed
"""Standardised rows `Z = (X - mean) / scale`, and the products with them that fitting needs.

Mean and scale are weighted by the rows' weights. A constant feature has scale 1 and is zero.
"""


def exact(rows: Rows) -> Iterator[tuple[slice, Float[Tensor, "slice b d"]]]:
    """One pass in float64, some rows at a time."""
    for at, Z in rows.batches():
        for i in range(0, Z.shape[1], PIECE):
            some = Z[:, i : i + PIECE].double()
            yield slice(at.start + i, at.start + i + some.shape[1]), some


def in_working_dtype(X: Tensor) -> Tensor:
    """Half precision and whole numbers as float32; float32 and float64 as they are."""
    return X if X.dtype in (torch.float32, torch.float64) else X.float()


def refuse_not_finite(deviation: Float[Tensor, "slice d"]) -> None:
    """UserError where a feature's deviation shows that its values are not finite, or too large to square."""
    if not torch.isfinite(deviation).all():
        at = (~torch.isfinite(deviation)).nonzero()[0].tolist()
        raise UserError(
            f"expected finite activations, got NaN or infinity (or values beyond {deviation.dtype}'s square "
            f"root) in feature {at[1]} of slice {at[0]}"
        )
