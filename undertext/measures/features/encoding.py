"""A split's texts encoded by an SAE in one checkpoint or two, with the labels of their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.measures.features.association import Association, associate
from undertext.measures.features.config import EncodingConfig
from undertext.measures.features.labels import Labels, label_texts
from undertext.measures.features.opening import OpenedSae
from undertext.saes import TextFirings, read_texts
from undertext.tasks.task import Task


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """One split, by checkpoint."""

    texts: tuple[TextFirings, ...]
    associations: tuple[list[Association], ...]
    """Every feature against every labelling."""

    @property
    def frequency(self) -> Float[Tensor, "model d_sae"]:
        """Share of the tokens that each feature fires at."""
        return torch.stack([(one.firings.counts / one.firings.n).float() for one in self.texts])

    @property
    def strength(self) -> Float[Tensor, "model d_sae"]:
        """Mean strength where a feature fires; NaN where it never does."""
        firings = [one.firings for one in self.texts]
        return torch.stack([one.sums(one.strengths.double()) / one.counts for one in firings]).float()

    @property
    def labels(self) -> list[Labels]:
        """The labellings, for another split to be encoded like this one."""
        return [association.labels for association in self.associations[0]]


def encode_split(
    opened: OpenedSae,
    checkpoints: Sequence[Checkpoint],
    scales: Sequence[float],
    task: Task,
    split: str,
    config: EncodingConfig,
    like: Sequence[Labels] | None = None,
) -> EncodedSplit:
    """Encode a split's prompts and traces in every checkpoint, whose activations are first multiplied by its
    scale.

    With `like`, labels and classes are those of another split.
    """
    labelled = label_texts(
        checkpoints[0], task.split(split), skip=config.skip, max_classes=config.max_classes, like=like
    )
    texts = [
        read_texts(opened.sae, checkpoint, labelled.tokens, opened.point, skip=config.skip, scale=scale)
        for checkpoint, scale in zip(checkpoints, scales, strict=True)
    ]
    associations = [associate(one.firings, labelled.labels, config.bins) for one in texts]
    return EncodedSplit(tuple(texts), tuple(associations))


def check_splits(task: Task, config: EncodingConfig) -> None:
    """UserError for a split the task lacks, and for choosing on the very split that is reported."""
    for split in (config.choose, config.split):
        task.split(split)
    if config.choose == config.split:
        raise UserError(
            f"features are chosen on one split and reported on another, got {config.split!r} twice"
        )
