"""The same architecture knowing nothing: a control for whatever is read off a checkpoint."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from transformers import PreTrainedModel

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.heap import trim_heap
from undertext.activations.originals import away
from undertext.activations.weights import Weights


def random_init(checkpoint: Checkpoint, *, seed: int) -> Checkpoint:
    """A checkpoint of the same configuration, tokenizer, device and dtype with freshly drawn weights.

    They are not quantised where the checkpoint's are. Where the checkpoint shares a room (`Checkpoint.load`),
    they share it too, and are drawn again in their turn.
    """
    kind, device, dtype = type(checkpoint.weights.modules), checkpoint.device, checkpoint.dtype
    config = copy.deepcopy(checkpoint.weights.modules.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config

    def draw() -> PreTrainedModel:
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would leave every GPU seeded as well.
            torch.default_generator.manual_seed(seed)
            with _default_dtype(dtype):
                # Drawn in float32 and converted, a model in 16 bits would be held twice over meanwhile.
                own = copy.deepcopy(config)
                for each in (own, *(getattr(own, name) for name in own.sub_configs)):
                    if each is not None:  # a model of parts makes them by configs of their own
                        each.dtype = dtype
                model: Any = kind(own)
        drawn: PreTrainedModel = model.to(device=device)
        return drawn

    room = checkpoint.weights.room
    if room is not None:
        room.clear()
    made = Checkpoint.load(draw(), tokenizer=checkpoint.tokenizer)
    weights = made.weights
    if room is not None:
        weights = Weights(weights.modules, draw)
        weights.share(room)
    return replace(made, weights=weights, special_tokens=checkpoint.special_tokens)


@contextmanager
def random_init_instead(checkpoint: Checkpoint, *, seed: int) -> Iterator[Checkpoint]:
    """`random_init` for the body alone, in which `checkpoint` is not to be used: where its weights are in
    files on this machine, they make room, and are there again, bit for bit, afterwards.

    Raises:
        UserError: where the files have changed meanwhile.
    """
    room = checkpoint.weights.room
    with away(checkpoint.weights) if room is None else nullcontext():
        trim_heap()
        made = random_init(checkpoint, seed=seed)
        try:
            yield made
        finally:
            if room is None:
                made.weights.leave()
            else:
                room.clear()
            trim_heap()  # weights smaller than 32 MB would stay in it, beside those that come back


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """The body with this precision for new tensors."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
