"""The same architecture knowing nothing: a control for whatever is read off a checkpoint."""

import copy
from dataclasses import replace
from typing import Any

import torch

from undertext.activations.checkpoint import Checkpoint


def random_init(checkpoint: Checkpoint, *, seed: int) -> Checkpoint:
    """A checkpoint of the same configuration, tokenizer, device and dtype with freshly drawn weights.

    They are not quantised where the checkpoint's are.
    """
    config = copy.deepcopy(checkpoint.model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would leave every GPU seeded as well
        model: Any = type(checkpoint.model)(config)
    model = model.to(device=checkpoint.device, dtype=checkpoint.dtype)
    made = Checkpoint.load(model, tokenizer=checkpoint.tokenizer)
    return replace(made, special_tokens=checkpoint.special_tokens)
