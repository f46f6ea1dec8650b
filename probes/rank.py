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


def full_rank(factor: Float[Tensor, "slice d d"], failed: Tensor, diagonal: Float[Tensor, "slice d"]) -> bool:
    """Whether a Cholesky factor shows a matrix of this diagonal to have full rank, beyond doubt.

    A pivot is what is left of a feature that those before it do not explain. A singular matrix has one that
    is zero but for rounding, which earlier pivots may have made larger than any one rounding; so pivots are
    asked to be over `sqrt(eps)` of their diagonal (3.5e-4 in float32, 1.5e-8 in float64). `failed` is what
    `cholesky_ex` says.
    """
    pivots = factor.diagonal(dim1=-2, dim2=-1).square()
    least = torch.finfo(factor.dtype).eps ** 0.5
    return not bool(failed.any()) and bool((pivots > least * diagonal).all())
