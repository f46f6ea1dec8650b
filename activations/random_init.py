"""The same architecture knowing nothing: a control for whatever is read off a checkpoint."""

import copy
from dataclasses import replace
from typing import Any

import torch
from transformers import PreTrainedModel

from undertext.activations.checkpoint import Checkpoint
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
            # Drawn in float32 and converted, a model in 16 bits would be held twice over meanwhile.
            model: Any = kind._from_config(copy.deepcopy(config), dtype=dtype)
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
