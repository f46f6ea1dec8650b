"""What counts as rounding in a closed form, and whether a matrix has full rank."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def tolerance(dtype: torch.dtype, n: int, d: int) -> float:
    """Eigenvalues of a Gram matrix of n rows and d features below this share of its largest are rounding.

    Two things make zeros look like more: the sum in float64 (`eps max(n, d)`, the convention of LAPACK and
    `numpy.linalg.matrix_rank`), and that rows themselves are rounded to `dtype`, by up to `eps / 2` of their
    size, which shows squared; 4 eps leaves room for features that are sums of some others. For float32 and
    4000 rows it is 1.1e-12: features must be told apart by a millionth of their deviation.
    """
    rounded = 4 * torch.finfo(dtype).eps
    return torch.finfo(torch.float64).eps * max(n, d) + rounded**2


def has_rank(size: Float[Tensor, "*slice d"], least: float) -> Bool[Tensor, "*slice d"]:
    """Which eigenvalues are over the share `least` of the largest; the others are rounding."""
    return size > least * size.amax(-1, keepdim=True)


def inverse(size: Float[Tensor, "*slice d"], kept: Bool[Tensor, "*slice d"]) -> Float[Tensor, "*slice d"]:
    """`1 / size` where kept, else 0: the eigenvalues of a pseudoinverse."""
    return torch.where(kept, 1 / torch.where(kept, size, 1.0), 0.0)


def full_rank(
    factor: Float[Tensor, "slice d d"], failed: Tensor, diagonal: Float[Tensor, "slice d"], least: float
) -> bool:
    """Whether a Cholesky factor shows a matrix of this diagonal to have full rank, beyond doubt.

    A singular matrix has a pivot that is zero but for rounding, so pivots are asked to be over `sqrt(eps)` of
    their diagonal (3.5e-4 in float32, 1.5e-8 in float64). Pivots alone do not tell: where the others are
    small together though none is small by itself (Kahan, 1966), the rounding in the last one is many thousand
    times what it is in the entries. So the matrix, scaled to a diagonal of ones, is asked for its smallest
    eigenvalue as well. It is to be over the rounding of the entries (`32 sqrt(d) eps`), and over the share
    `least` (`tolerance`) of d, which no eigenvalue exceeds. `failed` is what `cholesky_ex` says.
    """
    eps, d = torch.finfo(factor.dtype).eps, factor.shape[-1]
    pivots = factor.diagonal(dim1=-2, dim2=-1).square()
    if bool(failed.any()) or not bool((pivots > eps**0.5 * diagonal).all()):
        return False
    smallest = _smallest(factor / diagonal.sqrt()[..., None])
    return bool((smallest > max(32 * d**0.5 * eps, d * least)).all())


def _smallest(factor: Float[Tensor, "slice d d"]) -> Float[Tensor, " slice"]:
    """The smallest eigenvalue of the matrix with this Cholesky factor, by inverse iteration.

    What is found is never below it. Where it stands out it is met; where many are nearly as small, what is
    found after three rounds is above it by a factor of about d^(1/3) at most.
    """
    start = torch.randn(factor.shape[-1], 4, generator=torch.Generator().manual_seed(0), dtype=factor.dtype)
    vectors = start.to(factor.device).expand(len(factor), -1, -1)
    for _ in range(3):
        vectors = torch.cholesky_solve(vectors / vectors.norm(dim=-2, keepdim=True), factor)
    return 1 / vectors.norm(dim=-2).amax(-1)
