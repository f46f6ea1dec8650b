"""How many bits labels take once the activations are known: the online code."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import Labelled
from undertext.probes.logistic import logistic_path

FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Where blocks end, as shares of the rows; those of Voita and Titov."""
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse penalties that are mixed over."""


@dataclass(frozen=True, eq=False)
class OnlineCode:
    """The lengths of a code for the labels, in bits."""

    bits: Float[Tensor, "*slice_target n"]
    """What each row's label took; rows in the order they were given in."""
    block: Int[Tensor, " n"]
    """The block each row was in; those of block 0 were coded uniformly."""
    classes: Int[Tensor, "*target"]
    """How many classes each target has."""

    @property
    def length(self) -> Float[Tensor, "*slice_target"]:
        """Of the whole code."""
        return self.bits.sum(-1)

    @property
    def block_lengths(self) -> Float[Tensor, "*slice_target block"]:
        """Of each block."""
        out = self.bits.new_zeros(*self.bits.shape[:-1], int(self.block.max()) + 1)
        return out.index_add(-1, self.block, self.bits)

    @property
    def uniform(self) -> Float[Tensor, "*target"]:
        """Of the uniform code: `n log2(classes)`."""
        return self.bits.shape[-1] * self.classes.to(self.bits).log2()

    @property
    def compression(self) -> Float[Tensor, "*slice_target"]:
        """The uniform code's length over this one's: 1 where nothing is read, more where labels are easy."""
        return self.uniform / self.length


def online_code(
    rows: Labelled,
    *,
    classes: Sequence[int] | None = None,
    Cs: Sequence[float] = STRENGTHS,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
) -> OnlineCode:
    """The online (prequential) code of Voita and Titov (arXiv 2003.12298) for every slice and target.

    Rows are shuffled and cut into blocks, no problem being in two. The first block is coded uniformly; each
    later one by a logistic probe fitted to all blocks before it, `-log2 p(y | x)` a label.

    Two choices are ours, so that it is a code that could be sent. With `t` rows fitted and `K` classes, `p`
    becomes `(t p + 1) / (t + K)`: a class not seen yet has a finite length, and where x says nothing the code
    is Laplace's rule. And the strength is not chosen but mixed over: the length is `-log2 mean 2^-L(C)`, at
    most `log2(len(Cs))` bits over that of the best C.

    Args:
        rows: what is coded; the order of problems is drawn by `seed`.
        classes: the labels that there may be; by default, of each target those it shows.
        Cs: inverse penalties, as in `LogisticProbe`.
        fractions: where blocks end, ascending up to 1.
        seed: of the order.

    Raises UserError for a target of one class, labels that are none of `classes`, and fractions or Cs that
    are none.
    """
    shares = list(fractions)
    if not Cs or not shares or shares != sorted(shares) or not 0 < shares[0] <= shares[-1] == 1:
        raise UserError(f"expected Cs and fractions ascending from above 0 to 1, got {Cs} and {fractions}")
    n, device = len(rows), rows.X.device
    y = rows.y.reshape(n, -1).to(device).contiguous()  # or searchsorted says that it copies
    known = torch.unique(y) if classes is None else torch.tensor(sorted(set(classes)), device=device)
    code = torch.searchsorted(known, y).clamp(max=len(known) - 1)
    if not torch.equal(known[code], y):
        raise UserError(f"labels are to be among the classes {known.tolist()}, got others")
    onehot = torch.nn.functional.one_hot(code, len(known))
    possible = onehot.any(0) if classes is None else torch.ones_like(onehot[0], dtype=torch.bool)
    if bool((possible.sum(-1) < 2).any()):
        raise UserError("a code needs two classes or more: name those there may be as `classes`")
    order, ends = _blocks(rows.problems, shares, seed)
    order = order.to(device)
    # [C, *slice, target, n], in the order coded.
    lengths = possible.sum(-1).double().log2()[:, None].expand(len(Cs), *rows.X.shape[:-2], -1, n).clone()
    for start, end in pairwise(ends):
        past, now = order[:start], order[start:end]
        p = _probabilities(rows.X, y, known, past, now, sorted(Cs))
        p = (start * p + possible) / (start + possible.sum(-1, keepdim=True))
        chosen = p.gather(-1, code[now].expand(*p.shape[:-1])[..., None])[..., 0]
        lengths[..., start:end] = -chosen.log2().mT
    total = -(torch.logsumexp(-log(2) * lengths.cumsum(-1), 0) - log(len(Cs))) / log(2)
    coded = total.diff(dim=-1, prepend=torch.zeros_like(total[..., :1]))
    bits = torch.empty_like(coded)
    bits[..., order] = coded
    block = torch.empty_like(order)
    block[order] = torch.bucketize(torch.arange(n), torch.tensor(ends), right=True).to(device)
    counts = possible.sum(-1)
    if rows.y.ndim == 1:
        bits, counts = bits[..., 0, :], counts[0]
    return OnlineCode(bits, block, counts)


def _blocks(
    problem: Int[Tensor, " n"], fractions: Sequence[float], seed: int
) -> tuple[Int[Tensor, " n"], list[int]]:
    """Rows in the order coded, problem by problem, and where blocks end: with the last row of a problem."""
    _, place = torch.unique(problem, return_inverse=True)
    drawn = torch.randperm(int(place.max()) + 1, generator=torch.Generator().manual_seed(seed))
    rank = drawn[place]
    order = rank.argsort(stable=True)
    last = torch.bincount(rank).cumsum(0)
    wanted = torch.tensor([ceil(share * len(problem)) for share in fractions])
    return order, torch.unique(last[torch.searchsorted(last, wanted)]).tolist()


def _probabilities(
    X: Tensor, y: Tensor, known: Tensor, past: Tensor, now: Tensor, Cs: Sequence[float]
) -> Float[Tensor, "C *slice_m_target class"]:
    """What probes fitted to `past` say of `now`. Of a target that showed one class: that class."""
    labels = y[past]
    varied = (labels != labels[:1]).any(0)
    sure = (labels[0][:, None] == known).double()
    out = sure.expand(len(Cs), *X.shape[:-2], len(now), -1, -1).clone()
    if bool(varied.any()):
        probes = logistic_path(X[..., past, :], labels[:, varied], Cs)
        for each, probe in zip(out, probes, strict=True):
            proba = probe.predict_proba(X[..., now, :]).double()
            wide = proba.new_zeros(*proba.shape[:-1], len(known))
            wide[..., torch.searchsorted(known, probe.classes_)] = proba
            each[..., varied, :] = wide
    return out
