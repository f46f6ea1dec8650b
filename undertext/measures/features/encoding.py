"""A split's texts read through an SAE in one checkpoint or two, with what their tokens are labelled with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.jobs.sae_features.config import ReadConfig
from undertext.measures.features.association import Told, tell
from undertext.measures.features.labels import Labels, label_texts
from undertext.measures.features.opening import Opened
from undertext.saes import TextFirings, read_texts
from undertext.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Read:
    """One split, by checkpoint."""

    texts: tuple[TextFirings, ...]
    told: tuple[list[Told], ...]
    """What every feature tells of every labelling."""

    @property
    def frequency(self) -> Float[Tensor, "model d_sae"]:
        """Share of the tokens that each feature fires at."""
        return torch.stack([(read.firings.counts / read.firings.n).float() for read in self.texts])

    @property
    def strength(self) -> Float[Tensor, "model d_sae"]:
        """Mean strength where a feature fires; NaN where it never does."""
        firings = [read.firings for read in self.texts]
        return torch.stack([each.sums(each.strengths.double()) / each.counts for each in firings]).float()


def read_split(
    opened: Opened,
    checkpoints: Sequence[Checkpoint],
    scales: Sequence[float],
    task: Task,
    split: str,
    config: ReadConfig,
    like: Sequence[Labels] | None = None,
) -> Read:
    """Read a split's texts, prompt and trace, in every checkpoint, its activations times its scale first."""
    labelled = label_texts(
        checkpoints[0], task.split(split), skip=config.skip, max_classes=config.max_classes, like=like
    )
    read = [
        read_texts(opened.sae, each, labelled.tokens, opened.point, skip=config.skip, scale=scale)
        for each, scale in zip(checkpoints, scales, strict=True)
    ]
    told = [tell(each.firings, labelled.labels, config.bins) for each in read]
    return Read(tuple(read), tuple(told))


def labels_of(read: Read) -> list[Labels]:
    """The labellings of a split that was read, for another to be read like it."""
    return [told.labels for told in read.told[0]]


def check_splits(task: Task, config: ReadConfig) -> None:
    """UserError for a split the task lacks, and for choosing on the very split that is reported."""
    for split in (config.choose, config.split):
        task.split(split)
    if config.choose == config.split:
        raise UserError(
            f"features are chosen on one split and reported on another, got {config.split!r} twice"
        )
