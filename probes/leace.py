"""LEACE: the least change after which no linear probe reads a concept."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import check_lengths
from undertext.probes.rank import has_rank, inverse, tolerance
from undertext.probes.rows import in_working_dtype


@dataclass(frozen=True, eq=False)
class Eraser:
    """An affine map `x - write' read (x - mean)`, a slice each; an oblique projection about the mean."""

    mean: Float[Tensor, "*slice d"]
    read: Float[Tensor, "*slice k d"]
    """What is measured. Rows of zeros where a slice has fewer directions that tell of the concept."""
    write: Float[Tensor, "*slice k d"]
    """What is taken off for it."""

    def apply(self, X: Float[Tensor, "*slice m d"]) -> Float[Tensor, "*slice m d"]:
        """The rows, erased."""
        moved = X.to(self.mean) - self.mean[..., None, :]
        return (X.to(self.mean) - (moved @ self.read.mT) @ self.write).to(in_working_dtype(X))


def leace(X: Float[Tensor, "*slice n d"], z: Int[Tensor, "n *target"] | Float[Tensor, "n *target"]) -> Eraser:
    """The least-squares affine eraser of Belrose et al. (arXiv 2306.03819), in closed form.

    `x - W+ P W (x - mean)` with W the inverse root of the covariance of x, and P the projection on the
    columns of `W cov(x, z)`. On the rows it is fitted to, all classes then have one mean, so that no linear
    probe, by any convex loss, does better than by the classes' frequencies; of all affine maps with that
    effect it moves rows least. Computed, and kept, in float64. Directions in which rows do not vary, and
    those that tell of z by no more than rounding (both by `probes.rank.tolerance`), are left alone.

    z is labels (whole numbers: each class of each target is erased) or values. UserError where lengths
    differ or activations do not vary.
    """
    check_lengths(X, z, None)
    columns = z.reshape(len(z), -1).to(X.device)
    if not columns.is_floating_point():
        columns = torch.cat([each[:, None] == torch.unique(each) for each in columns.T], 1)
    Z = columns.double() - columns.double().mean(0)
    mean = X.double().mean(-2)
    centred = X.double() - mean[..., None, :]
    covariance, cross = centred.mT @ centred / len(Z), centred.mT @ Z / len(Z)
    size, vectors = torch.linalg.eigh(covariance)
    least = tolerance(in_working_dtype(X).dtype, *X.shape[-2:])
    seeming = (4 * torch.finfo(in_working_dtype(X).dtype).eps * mean.abs().amax(-1)).square()
    if not bool((size[..., -1] > seeming).all()):
        raise UserError("activations of a slice do not vary, or are not finite")
    kept = has_rank(size, least)
    root = torch.where(kept, size, 0.0).sqrt()
    whiten = (vectors * inverse(root, kept)[..., None, :]) @ vectors.mT
    colour = (vectors * root[..., None, :]) @ vectors.mT
    U, S, _ = torch.linalg.svd(whiten @ cross, full_matrices=False)
    # Squared singular values are variances of z that a direction explains: those of rounding are no concept.
    U = U * (S.square() > least * Z.square().mean(0).sum())[..., None, :]
    return Eraser(mean, (whiten @ U).mT, (colour @ U).mT)
