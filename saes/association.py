"""How well features predict labels: AUROC and mutual information of thousands of features at once."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.saes.firings import Firings


@dataclass(frozen=True, eq=False)
class LabelAssociation:
    """How well every feature predicts the labels of some rows.

    Measured on the rows given: features chosen by this measure need to be measured again on other rows.
    """

    classes: Int[Tensor, " cls"]
    """The labels that occur, ascending."""
    rows: int
    """Number of rows with a label."""
    auroc: Float[Tensor, "cls d_sae"]
    """Probability that the feature is stronger at a row of the class than at a row of another class, ties
    counting half; 0.5 is chance, and below 0.5 the feature fires for the other classes."""
    information: Float[Tensor, " d_sae"]
    """Mutual information of the feature, in bins, and the label, in nats, after Miller and Madow's
    correction; can be below zero."""
    plug_in: Float[Tensor, " d_sae"]
    """The same without correction: never below zero, and too large on average."""
    entropy: float
    """Entropy of the labels in nats, uncorrected: the upper bound of the information."""


def label_association(firings: Firings, labels: Int[Tensor, " n"], *, bins: int = 2) -> LabelAssociation:
    """Measure every feature against labels: a task's values, the kind of step a token is in.

    Rows with a negative label are left out. With two `bins` a feature counts as firing or silent; with more,
    its firings are put into `bins` - 1 bins by rank, equal strengths into the same bin. The correction of
    Miller (1955) adds (bins in use + classes - cells in use - 1) / 2n to the plug-in information.

    Raises:
        UserError: when labels and rows differ in number, there are fewer than two labels, or fewer than two
            bins.
    """
    if len(labels) != firings.n:
        raise UserError(f"expected a label for each of {firings.n} rows, got {len(labels)}")
    if bins < 2:
        raise UserError(f"expected two bins or more, got {bins}")
    labelled = labels >= 0
    classes, codes = labels[labelled].unique(return_inverse=True)
    if len(classes) < 2:
        raise UserError(
            f"expected rows of two labels or more, got {len(classes)}: there is nothing to compare"
        )
    firings = firings.take(labelled)
    ranked = _Ranked(firings, codes)
    sizes = torch.bincount(codes, minlength=len(classes))
    plug_in, correction, entropy = _information(ranked, sizes, bins)
    return LabelAssociation(classes, firings.n, _auroc(ranked, sizes), plug_in + correction, plug_in, entropy)


class _Ranked:
    """Firings by feature and strength, with the places at which equal strengths begin and end."""

    def __init__(self, firings: Firings, codes: Int[Tensor, " n"]) -> None:
        by_strength = firings.strengths.sort(stable=True).indices
        features = firings.features[by_strength]
        order = by_strength[features.sort(stable=True).indices]
        self.n, self.d_sae, self.counts = firings.n, firings.d_sae, firings.counts
        self.features = firings.features  # by feature they were sorted before
        self.codes = codes[firings.rows[order]]
        strengths = firings.strengths[order]
        place = torch.arange(len(order)) - firings.starts[self.features]
        same = torch.zeros(len(order), dtype=torch.bool)
        same[1:] = (strengths[1:] == strengths[:-1]) & (self.features[1:] == self.features[:-1])
        group = (~same).cumsum(0) - 1
        self.first = place[~same][group]
        self.last = self.first + torch.bincount(group)[group] - 1


def _auroc(ranked: _Ranked, sizes: Int[Tensor, " cls"]) -> Float[Tensor, "cls d_sae"]:
    """From the sum of the ranks of each class (Mann and Whitney): exact, since half ranks are exact in
    float64."""
    silent = (ranked.n - ranked.counts).double()
    ranks = silent[ranked.features] + (ranked.first + ranked.last).double() / 2 + 1
    cells = ranked.codes * ranked.d_sae + ranked.features
    shape = (len(sizes), ranked.d_sae)
    active = torch.bincount(cells, minlength=shape[0] * shape[1]).view(shape)
    summed = torch.zeros(shape[0] * shape[1], dtype=torch.float64).index_add_(0, cells, ranks)
    # All rows where a feature is silent are one tie, with the mean of the lowest ranks.
    total = summed.view(shape) + (sizes[:, None] - active) * ((silent + 1) / 2)
    own = sizes[:, None].double()
    return (total - own * (own + 1) / 2) / (own * (ranked.n - own))


def _information(
    ranked: _Ranked, sizes: Int[Tensor, " cls"], bins: int
) -> tuple[Float[Tensor, " d_sae"], Float[Tensor, " d_sae"], float]:
    """Plug-in information, its correction, and the entropy of the labels."""
    bin_ = 1 + ranked.first * (bins - 1) // ranked.counts[ranked.features]
    shape = (bins, len(sizes), ranked.d_sae)
    cells = (bin_ * shape[1] + ranked.codes) * shape[2] + ranked.features
    joint = torch.bincount(cells, minlength=shape[0] * shape[1] * shape[2]).view(shape)
    joint[0] = sizes[:, None] - joint.sum(dim=0)
    marginal = joint.sum(dim=1)
    entropy = float(_entropy(sizes[:, None], ranked.n))
    plug_in = _entropy(marginal, ranked.n) + entropy - _entropy(joint.flatten(0, 1), ranked.n)
    used = (marginal > 0).sum(dim=0) + len(sizes) - (joint > 0).sum(dim=(0, 1))
    return plug_in.clamp(min=0.0), (used - 1).double() / (2 * ranked.n), entropy


def _entropy(counts: Int[Tensor, "cell f"], n: int) -> Float[Tensor, " f"]:
    shares = counts.double()
    return math.log(n) - torch.xlogy(shares, shares).sum(dim=0) / n
