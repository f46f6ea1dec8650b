"""L-BFGS for many linear fits on the same rows, preconditioned by their Gram matrix."""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.probes.losses import Loss
from undertext.probes.rows import Rows

MEMORY = 8
"""Steps remembered."""
TRIALS = 16
"""Most points that a line search looks at."""


@dataclass(frozen=True)
class Fit:
    """Where the minimisation of each column ended."""

    theta: Float[Tensor, "slice column k parameter"]
    """Weights on the standardised features; the last are the intercepts."""
    margins: Float[Tensor, "slice column k n"]
    """Of every row, those of weight zero too."""
    n_iter: int


def factor(
    gram: Float[Tensor, "slice d d"], bend: float, penalty: Float[Tensor, "#slice d"]
) -> Float[Tensor, "slice d d"]:
    """Cholesky factor of `bend * gram + penalty`, the Hessian where all margins are zero.

    A preconditioner need not be exact: what rounding or repeated features take from it is added back.
    """
    diagonal = gram.diagonal(dim1=-2, dim2=-1) * bend + penalty
    jitter = torch.finfo(gram.dtype).eps
    while True:
        H = bend * gram
        H.diagonal(dim1=-2, dim2=-1).copy_(diagonal * (1 + jitter))
        L, failed = torch.linalg.cholesky_ex(H)
        if not failed.any():
            return L
        jitter *= 10


def minimise(
    rows: Rows,
    loss: Loss,
    penalty: Float[Tensor, "#slice column 1 d"],
    theta: Float[Tensor, "slice column k parameter"],
    precondition: Float[Tensor, "slice d d"],
    *,
    tol: float,
    max_iter: int,
) -> Fit:
    """Minimise `loss + sum of penalty * W^2 / 2` of every column, from `theta`.

    L-BFGS (Liu and Nocedal 1989, Math. Prog. 45) whose initial inverse Hessian is the given Cholesky
    factor's, scaled. All columns go the same number of steps, each along its own direction, by a length
    at which the slope is under two fifths of what it was. A column is done when the decrease that its
    direction promises is under `tol` (of a mean loss, so in nats), or when rounding lets it go no further.
    Warns when `max_iter` steps were not enough.
    """
    shape = theta.shape
    pen = torch.nn.functional.pad(penalty, (0, 1))  # the intercept is free
    margins = _margins(rows, theta)
    P = loss.probabilities(margins)
    gradient = _gradient(rows, loss.residual(P), shape) + pen * theta
    solved = _solve(gradient, precondition, loss.bend)
    past: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    eps = torch.finfo(theta.dtype).eps
    for n_iter in range(max_iter):
        direction = _direction(gradient, solved, past)
        slope = _dot(gradient, direction).clamp(max=0.0)
        if float(slope.min()) > -2 * tol:
            return Fit(theta, margins, n_iter)
        along = _margins(rows, direction)
        bent = (pen * direction.square()).sum((-2, -1))
        pulled = (pen * direction * theta).sum((-2, -1))
        length, P = _search(loss, margins, along, slope, pulled, bent)
        step = length[..., None, None] * direction
        margins = torch.addcmul(margins, length[..., None, None], along)
        theta = theta + step
        moved = step.abs().amax((-2, -1)) > 4 * eps * theta.abs().amax((-2, -1))
        if not bool((moved & (slope <= -2 * tol)).any()):
            return Fit(theta, margins, n_iter + 1)
        new = _gradient(rows, loss.residual(P), shape) + pen * theta
        new_solved = _solve(new, precondition, loss.bend)
        change, solved_change = new - gradient, new_solved - solved
        inner = _dot(step, change)
        past = [*past, (step, change, solved_change, torch.where(inner > 0, 1 / inner, 0.0))][-MEMORY:]
        gradient, solved = new, new_solved
    warnings.warn(
        f"a probe had not converged after {max_iter} steps (left to gain: {-float(slope.min()) / 2:.1e} nats "
        f"a row, tol {tol:.1e}): raise max_iter, or penalise more",
        stacklevel=2,
    )
    return Fit(theta, margins, max_iter)


def _margins(rows: Rows, theta: Tensor) -> Tensor:
    flat = theta.flatten(1, 2)
    return (rows.times(flat[..., :-1]) + flat[..., -1:]).unflatten(1, theta.shape[1:3])


def _gradient(rows: Rows, residual: Tensor, shape: torch.Size) -> Tensor:
    flat = residual.flatten(1, 2)
    return torch.cat([rows.transposed(flat), flat.sum(-1, keepdim=True)], -1).view(shape)


def _solve(gradient: Tensor, factor: Tensor, bend: float) -> Tensor:
    """The preconditioner's inverse times each column's gradient."""
    flat = gradient.flatten(1, 2)
    out = torch.empty_like(flat)
    out[..., :-1] = torch.cholesky_solve(flat[..., :-1].mT, factor).mT
    out[..., -1] = flat[..., -1] / bend
    return out.view(gradient.shape)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a.flatten(2), b.flatten(2))


def _direction(gradient: Tensor, solved: Tensor, past: list[tuple[Tensor, Tensor, Tensor, Tensor]]) -> Tensor:
    """Two loops over past steps. `solved` and the third of each follow along: nothing is solved here."""
    q, r, shares = gradient, solved, []
    for step, change, solved_change, inverse in reversed(past):
        share = (inverse * _dot(step, q))[..., None, None]
        shares.append(share)
        q, r = torch.addcmul(q, share, change, value=-1), torch.addcmul(r, share, solved_change, value=-1)
    if past:
        _, change, solved_change, inverse = past[-1]
        scale = 1 / (inverse * _dot(change, solved_change))
        r = r * torch.where(scale.isfinite() & (scale > 0), scale, 1.0)[..., None, None]
    for (step, change, _, inverse), share in zip(past, reversed(shares), strict=True):
        r = torch.addcmul(r, share - (inverse * _dot(change, r))[..., None, None], step)
    return -r


def _search(
    loss: Loss, margins: Tensor, along: Tensor, slope: Tensor, pulled: Tensor, bent: Tensor
) -> tuple[Tensor, Tensor]:
    """A length for each column's step, and the probabilities there.

    The objective is convex along the step, so its slope only rises: Newton's steps on the slope, kept
    between the longest length known to be too short and the shortest known to be too long.
    """
    length = torch.ones_like(slope)
    low, high = torch.zeros_like(slope), torch.full_like(slope, torch.inf)
    for _ in range(TRIALS):
        P = loss.probabilities(torch.addcmul(margins, length[..., None, None], along))
        found = (loss.residual(P) * along).sum((-2, -1)) + pulled + length * bent
        off = found.abs() > 0.4 * slope.abs()
        if not bool(off.any()):
            return length, P
        low, high = torch.where(found < 0, length, low), torch.where(found < 0, high, length)
        newton = length - found / (loss.curvature(P, along) + bent)
        newton = torch.minimum(newton, 4 * length)
        inside = (newton > low) & (newton < high)
        middle = torch.where(high.isfinite(), (low + high) / 2, 4 * length)
        length = torch.where(off, torch.where(inside, newton, middle), length)
    # What is still off takes the length that is too short: the objective has fallen all the way there.
    length = torch.where(off, low, length)
    return length, loss.probabilities(torch.addcmul(margins, length[..., None, None], along))
