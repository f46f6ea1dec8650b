"""What became of a feature: whether it fires on the same inputs in both checkpoints, and predicts the same
labels."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.saes.association import label_association
from undertext.saes.firings import Firings, PairFirings

Fate = Literal["stable", "moved", "silenced", "new", "dead"]
FATES: tuple[Fate, ...] = ("stable", "moved", "silenced", "new", "dead")


class FateCuts(NamedTuple):
    """Thresholds between the fates."""

    alive: float
    """A feature lives in a checkpoint when it fires at this share of the rows or more."""
    gone: float
    """It is silenced, or new, when it fires in the one less than this share as often as in the other."""
    recall: float
    """Smallest recall of firing of a stable feature."""
    precision: float
    """Smallest precision of firing of a stable feature."""
    correlation: float
    """Smallest correlation of a stable feature; where undefined, recall and precision decide."""
    auroc: float
    """Largest difference of a stable feature's AUROC between checkpoints, for labels that were given."""


@dataclass(frozen=True, eq=False)
class Fates:
    """Every feature in base and tuned, at the same rows."""

    rows: int
    frequency: Float[Tensor, "model d_sae"]
    """Share of the rows that it fires at."""
    strength: Float[Tensor, "model d_sae"]
    """Mean strength where it fires; NaN where it never does."""
    correlation: Float[Tensor, " d_sae"]
    """Pearson's, of its strengths over all rows; NaN where it is the same at all rows of a checkpoint."""
    precision: Float[Tensor, " d_sae"]
    """Of the rows at which it fires in tuned, the share at which it does in the base; NaN where there are
    none."""
    recall: Float[Tensor, " d_sae"]
    """Of the rows at which it fires in the base, the share at which it does in tuned; NaN where there are
    none."""
    auroc: Float[Tensor, "model cls d_sae"] | None
    """For the labels, if any were given: see `LabelAssociation.auroc`."""


def follow(firings: PairFirings, labels: Int[Tensor, " n"] | None = None) -> Fates:
    """Compare every feature's firings in base and tuned; `labels` (negative: none) say what a row is of.

    UserError when the two differ in rows or features.
    """
    base, tuned, _ = firings
    if (base.n, base.d_sae) != (tuned.n, tuned.d_sae):
        raise UserError(
            "expected firings of the same rows and features, "
            f"got [{base.n}, {base.d_sae}] of the base and [{tuned.n}, {tuned.d_sae}] of tuned"
        )
    n = base.n
    both, product = _together(base, tuned)
    counts = torch.stack([each.counts for each in (base, tuned)]).double()
    sums = torch.stack([each.sums(each.strengths.double()) for each in (base, tuned)])
    squares = torch.stack([each.sums(each.strengths.double().square()) for each in (base, tuned)])
    spread = n * squares - sums.square()
    # What rounding leaves of a constant is no spread.
    spread = torch.where(spread > 1e-9 * n * squares, spread, torch.nan)
    auroc = (
        None
        if labels is None
        else torch.stack([label_association(each, labels).auroc for each in (base, tuned)])
    )
    return Fates(
        rows=n,
        frequency=(counts / n).float(),
        strength=(sums / counts).float(),
        correlation=((n * product - sums[0] * sums[1]) / spread.prod(dim=0).sqrt()).float(),
        precision=(both / counts[1]).float(),
        recall=(both / counts[0]).float(),
        auroc=auroc,
    )


@dataclass(frozen=True, eq=False)
class SortedFates:
    """The fate of every feature."""

    index: Int[Tensor, " d_sae"]
    """Into `FATES`."""

    def features(self, fate: Fate) -> Int[Tensor, " f"]:
        """The features of a fate."""
        return (self.index == FATES.index(fate)).nonzero()[:, 0]

    def shares(self) -> dict[Fate, float]:
        """Share of the features that live in a checkpoint or both; NaN where none does."""
        living = len(self.index) - len(self.features("dead"))
        return {fate: len(self.features(fate)) / living if living else torch.nan for fate in FATES[:-1]}


def sort_fates(fates: Fates, cuts: FateCuts) -> SortedFates:
    """Sort features by what became of them.

    `stable`: the feature fires at the same rows in both, and predicts the labels alike; `moved`: it fires in
    both, but not so; `silenced`: in the base alone; `new`: in tuned alone; `dead`: in neither. For a feature
    that fires at a share q of the rows, chance alone gives a precision and a recall of q: compare cuts with
    frequencies.

    With labels, a feature is silenced as well when it predicts them in the base and not in tuned, however
    often it fires there (an AUROC further than `auroc` from 0.5 in the base, all within that distance in
    tuned, and nearer by as much), and new in the reverse. The frequency of firing depends on the size of the
    activations, because the SAE has thresholds; the AUROC does not.
    """
    base, tuned = fates.frequency
    silenced = (base >= cuts.alive) & (tuned < cuts.gone * base)
    new = (tuned >= cuts.alive) & (base < cuts.gone * tuned)
    stable = (
        (fates.recall >= cuts.recall)
        & (fates.precision >= cuts.precision)
        & ~(fates.correlation < cuts.correlation)
    )
    if fates.auroc is not None:
        stable &= (fates.auroc[0] - fates.auroc[1]).abs().amax(dim=0) <= cuts.auroc
        in_base, in_tuned = (fates.auroc - 0.5).abs().nan_to_num(0.0).amax(dim=1)
        silenced |= (
            ~stable & (in_base > cuts.auroc) & (in_tuned <= cuts.auroc) & (in_base - in_tuned > cuts.auroc)
        )
        new |= ~stable & (in_tuned > cuts.auroc) & (in_base <= cuts.auroc) & (in_tuned - in_base > cuts.auroc)
    index = torch.where(stable, FATES.index("stable"), FATES.index("moved"))
    index = torch.where(silenced, FATES.index("silenced"), index)
    index = torch.where(new, FATES.index("new"), index)
    return SortedFates(torch.where((base < cuts.alive) & (tuned < cuts.alive), FATES.index("dead"), index))


def _together(one: Firings, other: Firings) -> tuple[Float[Tensor, " d_sae"], Float[Tensor, " d_sae"]]:
    """At how many rows a feature fires in both, and the sum there of the product of its strengths."""
    keys, others = (each.features * each.n + each.rows for each in (one, other))
    if not len(others):
        none = torch.zeros(one.d_sae, dtype=torch.float64)
        return none, none
    place = torch.searchsorted(others, keys).clamp(max=len(others) - 1)
    met = others[place] == keys
    products = one.strengths.double() * other.strengths[place].double() * met
    return one.sums(met.double()), one.sums(products)
