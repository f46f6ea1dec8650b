"""How well every feature predicts every label, and the features most associated with the task's values."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.measures.features.labels import LabelKind, Labels
from undertext.saes import Firings, label_association

KINDS: tuple[LabelKind, ...] = ("value", "part", "valid")


@dataclass(frozen=True, eq=False)
class Association:
    """How well features predict one labelling."""

    labels: Labels
    auroc: Float[Tensor, "cls d_sae"]
    """One class against the rest; NaN for a class that no token has."""
    information: Float[Tensor, " d_sae"]
    """Mutual information in nats, bias-corrected; NaN where fewer than two classes occur."""


@dataclass(frozen=True, eq=False)
class BestClass:
    """The class of one kind of labels that each feature predicts best, chosen on one split."""

    kind: LabelKind
    name: list[str]
    """Name of the labels, by feature."""
    cls: list[str]
    """The class, by feature."""
    chosen: Float[Tensor, " d_sae"]
    """AUROC on the split where the class was chosen."""
    auroc: Float[Tensor, "*model d_sae"]
    """AUROC on the split that is reported."""
    information: Float[Tensor, "*model d_sae"]
    """Mutual information with the labels in nats, on the split that is reported."""


def associate(firings: Firings, labels: Sequence[Labels], bins: int) -> list[Association]:
    """Measure every feature against every labelling."""
    associations = []
    for labelling in labels:
        auroc = torch.full((len(labelling.classes), firings.d_sae), torch.nan, dtype=torch.float64)
        information = torch.full((firings.d_sae,), torch.nan, dtype=torch.float64)
        if len(labelling.rows[labelling.rows >= 0].unique()) > 1:
            measured = label_association(firings, labelling.rows, bins=bins)
            auroc[measured.classes], information = measured.auroc, measured.information
        associations.append(Association(labelling, auroc, information))
    return associations


def best_class(
    kind: LabelKind, chosen: Sequence[Association], *reported: Sequence[Association]
) -> BestClass | None:
    """The class of a kind of labels that each feature predicts best on the first split, measured on others.

    None where there are no such labels.
    """
    of_kind = [i for i, association in enumerate(chosen) if association.labels.kind == kind]
    if not of_kind:
        return None
    classes = [(i, c) for i in of_kind for c in range(len(chosen[i].labels.classes))]
    at = torch.cat([chosen[i].auroc for i in of_kind]).nan_to_num(0.5).argmax(dim=0)

    def at_best(associations: Sequence[Association]) -> tuple[Tensor, Tensor]:
        auroc = torch.cat([associations[i].auroc for i in of_kind])
        information = torch.stack([associations[i].information for i, _ in classes])
        return auroc.gather(0, at[None])[0], information.gather(0, at[None])[0]

    measured = [at_best(associations) for associations in reported]
    labels = [chosen[i].labels for i, _ in classes]
    return BestClass(
        kind,
        [labels[k].name for k in at.tolist()],
        [labels[k].classes[classes[k][1]] for k in at.tolist()],
        at_best(chosen)[0],
        torch.stack([auroc for auroc, _ in measured]),
        torch.stack([information for _, information in measured]),
    )


def most_associated(
    associations: Sequence[Association], alive: Bool[Tensor, " d_sae"], count: int
) -> list[int]:
    """The `count` features of greatest AUROC: the best of every class first, then the second of every class.

    Values come before the validity of steps and the parts of a text, which count only where there are no
    values.
    """
    kinds = {association.labels.kind for association in associations}
    kind = next(one for one in ("value", "valid", "part") if one in kinds)
    auroc = torch.cat([one.auroc for one in associations if one.labels.kind == kind]).nan_to_num(0.5)
    if not alive.any():
        raise UserError("no feature of the SAE fires at any of the texts: nothing can be measured")
    order: Int[Tensor, "cls d_sae"] = torch.where(alive, auroc, -1.0).argsort(
        dim=1, descending=True, stable=True
    )
    living = int(alive.sum())
    return list(dict.fromkeys(order[:, :living].T.flatten().tolist()))[:count]


def best_features(associations: Sequence[Association]) -> list[tuple[int, int, int]]:
    """For each class of each value: index of the labelling, index of the class, and the feature of best
    AUROC."""
    return [
        (i, c, feature)
        for i, association in enumerate(associations)
        if association.labels.kind == "value"
        for c, feature in enumerate(association.auroc.nan_to_num(0.5).argmax(dim=1).tolist())
    ]
