"""A crosscoder's latents on a task: firings, associations, and how much of each is in base and in tuned."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.errors import UserError
from undertext.activations.hooks import check_point
from undertext.activations.pair import Pair
from undertext.activations.spans import TokenSpan
from undertext.measures.features.association import associate
from undertext.measures.features.config import EncodingConfig
from undertext.measures.features.encoding import EncodedSplit
from undertext.measures.features.labels import LabelledTexts, Labels, label_texts
from undertext.saes import Crosscoder, Scaling, TextFirings, latent_scaling
from undertext.saes.firings import Collector
from undertext.saes.scaling import ScalingCuts
from undertext.tasks.task import Task

ROWS = 2048
"""Rows encoded at a time."""
Activations = Float[Tensor, "model point n d_model"]


def check_crosscoder(crosscoder: Crosscoder, pair: Pair) -> None:
    """UserError unless the crosscoder reads hook points of these checkpoints, at their width."""
    if not crosscoder.points:
        raise UserError("this crosscoder does not say at which hook points it reads")
    for point in crosscoder.points:
        check_point(pair.base, point)
        width = crosscoder.encoders.shape[2]
        if pair.base.width(point) != width:
            raise UserError(
                f"this crosscoder reads activations of width {width}, {pair.base.name} has "
                f"{pair.base.width(point)} at {point}"
            )


def encode_latents(
    crosscoder: Crosscoder,
    pair: Pair,
    task: Task,
    split: str,
    config: EncodingConfig,
    like: Sequence[Labels] | None = None,
) -> tuple[EncodedSplit, Activations]:
    """Encode a split's texts; one set of firings for both checkpoints, and the activations themselves."""
    labelled = label_texts(
        pair.base, task.split(split), skip=config.skip, max_classes=config.max_classes, like=like
    )
    return encode_labelled(crosscoder, pair, labelled, config)


def encode_labelled(
    crosscoder: Crosscoder, pair: Pair, labelled: LabelledTexts, config: EncodingConfig
) -> tuple[EncodedSplit, Activations]:
    """The same of texts whose tokens are labelled; no association where they have no labels."""
    spans = [TokenSpan(config.skip) for _ in labelled.tokens]
    points = list(crosscoder.points)
    activations = torch.stack([capture(one, labelled.tokens, points, spans).activations for one in pair])
    collector = Collector()
    for base, tuned in in_batches(activations):
        collector.add(crosscoder.encode(base, tuned))
    firings = collector.firings()
    tokens = torch.tensor([token for ids in labelled.tokens for token in ids[config.skip :]])
    texts = torch.tensor([i for i, ids in enumerate(labelled.tokens) for _ in ids[config.skip :]])
    associations = associate(firings, labelled.labels, config.bins)
    return EncodedSplit((TextFirings(firings, tokens, texts),), (associations,)), activations


def scaled_latents(
    crosscoder: Crosscoder,
    pair: Pair,
    task: Task,
    split: str,
    config: EncodingConfig,
    cuts: ScalingCuts,
    like: Sequence[Labels],
) -> tuple[EncodedSplit, Scaling]:
    """Encode a split's texts and measure latent scaling on them."""
    encoded, activations = encode_latents(crosscoder, pair, task, split, config, like)
    return encoded, latent_scaling(crosscoder, in_batches(activations), cuts)


def in_batches(activations: Activations) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of base and tuned, `ROWS` rows at a time."""
    for chunk in activations.split(ROWS, dim=2):
        yield chunk[0], chunk[1]
