"""What every feature tells of every label, and which of them are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.measures.features.labels import LabelKind, Labels
from undertext.saes import Firings, carried


@dataclass(frozen=True, eq=False)
class Told:
    """What features tell of some labels."""

    labels: Labels
    auroc: Float[Tensor, "cls d_sae"]
    """One against the rest, by class; NaN for a class that no token has."""
    information: Float[Tensor, " d_sae"]
    """Mutual information, in nats, corrected; NaN where fewer than two classes are there."""


@dataclass(frozen=True, eq=False)
class Best:
    """The class of one kind of labels that each feature tells best, chosen on one split."""

    kind: LabelKind
    name: list[str]
    """Of the labels, for each feature,"""
    cls: list[str]
    """and of the class."""
    chosen: Float[Tensor, " d_sae"]
    """Its AUROC where it was chosen,"""
    auroc: Float[Tensor, "*model d_sae"]
    """where it is reported,"""
    information: Float[Tensor, "*model d_sae"]
    """and what the feature tells of these labels in nats there."""


def tell(firings: Firings, labels: Sequence[Labels], bins: int) -> list[Told]:
    """Every feature against every labelling."""
    found = []
    for each in labels:
        auroc = torch.full((len(each.classes), firings.d_sae), torch.nan, dtype=torch.float64)
        information = torch.full((firings.d_sae,), torch.nan, dtype=torch.float64)
        if len(each.rows[each.rows >= 0].unique()) > 1:
            told = carried(firings, each.rows, bins=bins)
            auroc[told.classes], information = told.auroc, told.information
        found.append(Told(each, auroc, information))
    return found


def best_of(kind: LabelKind, chosen: Sequence[Told], *reported: Sequence[Told]) -> Best | None:
    """What each feature tells best of the labels of a kind on the first split, and that on others; None
    where there are no such labels."""
    places = [i for i, each in enumerate(chosen) if each.labels.kind == kind]
    if not places:
        return None
    classes = [(i, c) for i in places for c in range(len(chosen[i].labels.classes))]
    at = torch.cat([chosen[i].auroc for i in places]).nan_to_num(0.5).argmax(dim=0)

    def read(told: Sequence[Told]) -> tuple[Tensor, Tensor]:
        auroc = torch.cat([told[i].auroc for i in places])
        information = torch.stack([told[i].information for i, _ in classes])
        return auroc.gather(0, at[None])[0], information.gather(0, at[None])[0]

    there = [read(told) for told in reported]
    labels = [chosen[i].labels for i, _ in classes]
    return Best(
        kind,
        [labels[k].name for k in at.tolist()],
        [labels[k].classes[classes[k][1]] for k in at.tolist()],
        read(chosen)[0],
        torch.stack([auroc for auroc, _ in there]),
        torch.stack([information for _, information in there]),
    )


def ranked(told: Sequence[Told], alive: Tensor, count: int) -> list[int]:
    """Features that tell the most: the best of every class first, then the second of every class.

    Values come before the parts of a text, and those only where there are no values.
    """
    kinds = {each.labels.kind for each in told}
    kind = next(each for each in ("value", "valid", "part") if each in kinds)
    of = torch.cat([each.auroc for each in told if each.labels.kind == kind]).nan_to_num(0.5)
    if not alive.any():
        raise UserError("no feature of the SAE fires at any of the texts: nothing can be told")
    order: Int[Tensor, "cls d_sae"] = torch.where(alive, of, -1.0).argsort(
        dim=1, descending=True, stable=True
    )
    living = int(alive.sum())
    return list(dict.fromkeys(order[:, :living].T.flatten().tolist()))[:count]
