"""What became of each feature in a tune: the same SAE, read in base and tuned at the same tokens."""

from dataclasses import replace
from typing import Any, Literal

import torch

from undertext.activations.capture import capture
from undertext.activations.pair import Pair
from undertext.activations.spans import TokenSpan
from undertext.core.terms import ROLES
from undertext.measures.features.association import best_features
from undertext.measures.features.encoding import EncodedSplit
from undertext.measures.features.labels import tokens_of
from undertext.measures.features.opening import OpenedSae
from undertext.saes import FATES, Fates, Firings, PairFirings, SortedFates, follow, read_texts
from undertext.tasks.task import Task

Scales = tuple[float, float]
"""What the activations of base and of tuned are multiplied by."""


def mean_norms(opened: OpenedSae, pair: Pair, task: Task, split: str, skip: int) -> Scales:
    """Mean norm of the activations of base and tuned at the SAE's hook point, on one split's texts."""
    tokens = tokens_of(pair.base, task.split(split))
    spans = [TokenSpan(skip) for _ in tokens]
    norms = [
        float(capture(checkpoint, tokens, [opened.point], spans)[opened.point].norm(dim=-1).mean())
        for checkpoint in pair
    ]
    return norms[0], norms[1]


def matching_scales(norms: Scales, trained_on: Literal["base", "tuned"]) -> Scales:
    """Scales that bring both to the mean norm of the checkpoint that the SAE was trained on."""
    return (1.0, norms[0] / norms[1]) if trained_on == "base" else (norms[1] / norms[0], 1.0)


def matched_fates(encoded: EncodedSplit, scales: Scales) -> Fates:
    """Firing in base and tuned at matched scales, with the AUROC of every class of every value."""
    base, tuned = (one.firings for one in encoded.texts)
    fates = follow(PairFirings(base, tuned, scales))
    values = [[one.auroc for one in each if one.labels.kind == "value"] for each in encoded.associations]
    if not values[0]:
        return fates
    auroc = torch.stack([torch.cat(one) for one in values])
    measured = ~auroc.isnan().any(dim=(0, 2))
    return replace(fates, auroc=auroc[:, measured]) if measured.any() else fates


def own_size_firings(
    opened: OpenedSae, pair: Pair, task: Task, split: str, skip: int, scales: Scales
) -> list[Firings | None]:
    """Firings of each checkpoint with its activations at their own size; None where its scale is 1
    already."""
    tokens = tokens_of(pair.base, task.split(split))
    return [
        None if scale == 1.0 else read_texts(opened.sae, checkpoint, tokens, opened.point, skip=skip).firings
        for checkpoint, scale in zip(pair, scales, strict=True)
    ]


def own_size_fates(encoded: EncodedSplit, own_size: list[Firings | None]) -> Fates:
    """Fates by firing alone, with the activations at their own size."""
    base, tuned = (
        own if own is not None else one.firings for own, one in zip(own_size, encoded.texts, strict=True)
    )
    return follow(PairFirings(base, tuned))


def associated(
    chosen: EncodedSplit, reported: EncodedSplit, fates: SortedFates, own: int
) -> list[dict[str, Any]]:
    """For each class of each value: the feature that predicts it best, its AUROC in base and tuned, its
    fate."""
    rows = []
    for i, c, feature in best_features(chosen.associations[own]):
        labels = chosen.associations[own][i].labels
        rows.append(
            {
                "value": labels.name,
                "class": labels.classes[c],
                "feature": feature,
                "auroc": {
                    role: float(reported.associations[m][i].auroc[c, feature]) for m, role in enumerate(ROLES)
                },
                "fate": FATES[int(fates.index[feature])],
            }
        )
    return rows
