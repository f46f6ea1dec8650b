"""Where features fire: the few strengths above zero of many rows, and nothing of the rest."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from undertext.activations.errors import UserError
from undertext.saes.autoencoder import encode
from undertext.saes.pairs import PairRows, PairSource, pair_rows
from undertext.saes.sae_type import SAE

ROWS = 2048
"""Rows encoded at a time, unless it is said otherwise."""


@dataclass(frozen=True, eq=False)
class Firings:
    """What fires at `n` rows, feature by feature: the parts of a sparse matrix `[n, d_sae]` by column."""

    n: int
    starts: Int[Tensor, " d_sae_plus_1"]
    """Where each feature's firings begin, and last how many there are in all."""
    rows: Int[Tensor, " m"]
    """The row of each firing, ascending within a feature."""
    strengths: Float[Tensor, " m"]
    """All above zero."""

    @classmethod
    def of(cls, activations: Float[Tensor, "n d_sae"]) -> "Firings":
        """What fires in a dense matrix of strengths; UserError for a negative one, NaN or infinity."""
        collector = Collector()
        collector.add(activations)
        return collector.firings()

    @property
    def d_sae(self) -> int:
        """How many features there are."""
        return len(self.starts) - 1

    @property
    def counts(self) -> Int[Tensor, " d_sae"]:
        """At how many rows each feature fires."""
        return self.starts.diff()

    @property
    def features(self) -> Int[Tensor, " m"]:
        """The feature of each firing."""
        return torch.repeat_interleave(torch.arange(self.d_sae), self.counts)

    def column(self, feature: int) -> Float[Tensor, " n"]:
        """The strength of one feature at every row. UserError when there is no such feature."""
        if not 0 <= feature < self.d_sae:
            raise UserError(f"expected a feature from 0 to {self.d_sae - 1}, got {feature}")
        own = slice(int(self.starts[feature]), int(self.starts[feature + 1]))
        return torch.zeros(self.n).index_put_((self.rows[own],), self.strengths[own])

    def take(self, wanted: Bool[Tensor, " n"]) -> "Firings":
        """The same at some of the rows, numbered anew."""
        kept = wanted[self.rows]
        number = wanted.cumsum(0) - 1
        starts = _starts(self.features[kept], self.d_sae)
        return Firings(int(wanted.sum()), starts, number[self.rows[kept]], self.strengths[kept])

    def sums(self, values: Float[Tensor, " m"]) -> Float[Tensor, " d_sae"]:
        """One number for each firing, summed by feature."""
        return torch.zeros(self.d_sae, dtype=values.dtype).index_add_(0, self.features, values)


class Collector:
    """Gathers firings of rows that come in parts, keeping only what fires of each."""

    def __init__(self) -> None:
        self._n = self._d_sae = 0
        self._found: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, activations: Float[Tensor, "m d_sae"]) -> None:
        """The next rows; UserError for a negative strength, NaN or infinity."""
        low, high = activations.aminmax() if activations.numel() else (torch.zeros(()), torch.zeros(()))
        if not (low >= 0 and high < torch.inf):
            raise UserError(
                "expected strengths of features, none negative, NaN or infinite, "
                f"got {float(low):.3g} to {float(high):.3g}"
            )
        rows, features = activations.nonzero().unbind(1)
        found = (rows + self._n, features, activations[rows, features].float())
        self._found.append((found[0].cpu(), found[1].cpu(), found[2].cpu()))
        self._n, self._d_sae = self._n + len(activations), activations.shape[1]

    def firings(self) -> Firings:
        """All that was added; UserError when that is no rows."""
        if self._n == 0:
            raise UserError("expected rows of activations, got none")
        rows, features, strengths = (torch.cat(each) for each in zip(*self._found, strict=True))
        order = features.sort(stable=True).indices
        return Firings(self._n, _starts(features, self._d_sae), rows[order], strengths[order])


class PairFirings(NamedTuple):
    """What fires at the same rows of both checkpoints."""

    base: Firings
    tuned: Firings
    scales: tuple[float, float] = (1.0, 1.0)
    """What the activations of each were multiplied by before they were encoded."""


def read_pair(
    sae: SAE,
    pair: PairSource,
    *,
    trained_on: Literal["base", "tuned"] = "base",
    match_norms: bool = True,
    size: int = ROWS,
) -> PairFirings:
    """Firings of one SAE at the same rows of base and tuned, read and encoded `size` rows at a time.

    The features that are followed are those of `sae`: one trained on the base shows what became of what the
    base had, one trained on the tuned model where that which it has came from. The other model's activations
    are scaled to the mean norm of those it was trained on (one more pass): where tuning made them smaller,
    all features would seem silenced otherwise.

    UserError when the pair has several hook points, and when a model's activations are all zero.
    """
    rows = pair_rows(pair)
    if rows.count == 0:
        raise UserError("expected rows of activations, got none")
    scales = (1.0, 1.0)
    if match_norms:
        norms = _mean_norms(rows, size)
        scales = (1.0, norms[0] / norms[1]) if trained_on == "base" else (norms[1] / norms[0], 1.0)
    collectors = (Collector(), Collector())
    for chosen in torch.arange(rows.count).split(size):
        for activations, scale, collector in zip(rows.read(chosen), scales, collectors, strict=True):
            _check_one_point(activations)
            collector.add(encode(sae, activations[0] * scale))
    return PairFirings(collectors[0].firings(), collectors[1].firings(), scales)


def _mean_norms(rows: PairRows, size: int) -> tuple[float, float]:
    total = torch.zeros(2, dtype=torch.float64)
    for chosen in torch.arange(rows.count).split(size):
        both = rows.read(chosen)
        _check_one_point(both[0])
        total += both[:, 0].norm(dim=-1).double().sum(dim=-1).cpu()
    for name, norm in zip(("base", "tuned"), total, strict=True):
        if not 0 < norm < torch.inf:
            raise UserError(f"the activations of {name} are all zero, or NaN or infinity is among them")
    return float(total[0]), float(total[1])


def _check_one_point(activations: Float[Tensor, "point m d_model"]) -> None:
    if len(activations) != 1:
        raise UserError(f"an SAE reads one hook point, the pair has {len(activations)}: select one")


def _starts(features: Int[Tensor, " m"], d_sae: int) -> Int[Tensor, " d_sae_plus_1"]:
    return nn.functional.pad(torch.bincount(features, minlength=d_sae).cumsum(0), (1, 0))
