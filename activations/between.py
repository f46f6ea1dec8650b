"""Weights that lie between those of two checkpoints, and as far from one as the other's are."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line
from undertext.activations.originals import restored

_PART = 1 << 22
"""Numbers of a matrix that are worked on at a time."""


@contextmanager
def moved_towards(checkpoint: Checkpoint, other: Checkpoint, share: float) -> Iterator[None]:
    """Run the body with every weight of `checkpoint` moved this share of the way to that of `other`.

    At 0.5 the weights are the mean of the two (Wortsman et al., arXiv 2109.01903, who go along the same
    line). Of two vocabularies, one of which has grown, the rows of both are moved; buffers stay. Afterwards
    the weights are what they were, bit for bit, as of `noisy`. Of two checkpoints that share a room, the
    other's weights are read from their files, a tensor at a time.

    Raises:
        UserError: for a share outside 0 to 1, where the two have not the same weights
            (`why_not_between`), and where files have changed meanwhile.
    """
    if not 0 <= share <= 1:
        raise UserError(f"expected a share of the way from 0 to 1, got {share}")
    with _changed(checkpoint, other, lambda part, towards: part.lerp_(towards, share)):
        yield


@contextmanager
def moved_at_random(checkpoint: Checkpoint, other: Checkpoint, *, seed: int) -> Iterator[None]:
    """Run the body with every weight of `checkpoint` moved as far as that of `other` is away, up or down.

    Which way is drawn for each weight by itself: a change of the same size in every entry, and of no
    direction. The same seed gives the same change, on every device. All else is as of `moved_towards`.

    Raises:
        UserError: where the two have not the same weights (`why_not_between`), and where files have changed
            meanwhile.
    """
    signs = torch.Generator().manual_seed(seed)

    def move(part: Tensor, towards: Tensor) -> None:
        sign = torch.randint(0, 2, part.shape, generator=signs, dtype=torch.int8).mul_(2).sub_(1)
        part.add_((towards - part) * sign.to(part.device))

    with _changed(checkpoint, other, move):
        yield


@contextmanager
def _changed(
    checkpoint: Checkpoint, other: Checkpoint, change: Callable[[Tensor, Tensor], object]
) -> Iterator[None]:
    """Run the body with `change` done to each part of a weight, given the same part of the other's."""
    if (why := why_not_between(checkpoint, other)) is not None:
        raise UserError(f"expected two checkpoints of the same weights: {why}")
    with ExitStack() as stack:
        sizes, read = _weights_of(other, stack)
        own = {name: each for name, each in checkpoint.model.named_parameters() if name in sizes}
        stack.enter_context(restored(checkpoint.weights, list(own.values())))
        with torch.no_grad():
            for name, weight in own.items():
                _change(weight, read(name), change)
        yield


def why_not_between(checkpoint: Checkpoint, other: Checkpoint) -> str | None:
    """Why no weights lie between the two; None where some do."""
    with ExitStack() as stack:
        try:
            theirs, _ = _weights_of(other, stack)
        except UserError as error:
            return str(error)
        model = checkpoint.model
        if _tied(checkpoint) != _tied(other):
            return "one of them embeds tokens by the weights that it reads logits with, the other does not"
        rows = _rows_of_vocabulary(model)
        own = dict(model.named_parameters())
        if odd := [name for name, each in own.items() if not each.is_floating_point()]:
            return f"{shown(odd[0])} of {shown(checkpoint.name)} is quantised"
        if lacking := [name for name in own if name not in theirs]:
            return f"{shown(other.name)} has no {shown(lacking[0])} of its own"
        for name, weight in own.items():
            size, width = list(weight.shape), theirs[name]
            grown = id(weight) in rows and len(size) == len(width) and size[1:] == width[1:]
            if size != width and not grown:
                return (
                    f"{shown(name)} is of size {size} in {shown(checkpoint.name)}, and {width} in the other"
                )
    return None


def _weights_of(
    other: Checkpoint, stack: ExitStack
) -> tuple[Mapping[str, list[int]], Callable[[str], Tensor]]:
    """The sizes of a checkpoint's weights by name, and what reads one of them."""
    weights = other.weights
    if weights.room is None:
        live = dict(other.model.named_parameters())
        if odd := [name for name, each in live.items() if not each.is_floating_point()]:
            raise UserError(f"{shown(odd[0])} of {shown(other.name)} is quantised")
        return {name: list(each.shape) for name, each in live.items()}, live.__getitem__
    if not weights.files:
        raise UserError(
            f"the weights of {shown(other.name)} are in no file as they are (an adapter is merged into "
            "them), and only one of the two is in memory at a time"
        )
    holding: dict[str, Any] = {}
    sizes: dict[str, list[int]] = {}
    for path in weights.files:
        try:
            file = stack.enter_context(safe_open(path, framework="pt"))
        except (OSError, SafetensorError) as error:
            raise UserError(f"{shown(path)} could not be read again: {one_line(error)}") from error
        for name in file.keys():  # noqa: SIM118, which is no dict
            holding[name], sizes[name] = file, list(file.get_slice(name).get_shape())
    return sizes, lambda name: cast(Tensor, holding[name].get_tensor(name))


def _tied(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.weights.modules.config.get_text_config(decoder=True).tie_word_embeddings)


def _rows_of_vocabulary(model: PreTrainedModel) -> set[int]:
    """The ids of the parameters that have a row a token."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    return {id(weight) for end in ends if end is not None for weight in end.parameters()}


def _change(weight: Tensor, other: Tensor, change: Callable[[Tensor, Tensor], object]) -> None:
    rows = min(len(weight), len(other)) if weight.ndim else 1
    own, theirs = (weight[:rows], other[:rows]) if weight.ndim else (weight, other)
    for part, towards in zip(
        own.view(-1).split(_PART), theirs.detach().reshape(-1).split(_PART), strict=True
    ):
        change(part, towards.to(part.device, part.dtype))
