"""The same architecture knowing nothing: a control for whatever is read off a checkpoint."""

import copy

import torch

from activations.checkpoint import Checkpoint


def random_init(checkpoint: Checkpoint, *, seed: int) -> Checkpoint:
    """A checkpoint of the same configuration, tokenizer, device and dtype with freshly drawn weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(checkpoint.model)(copy.deepcopy(checkpoint.model.config))
    model = model.to(checkpoint.model.device, checkpoint.model.dtype)
    return Checkpoint.load(model, tokenizer=checkpoint.tokenizer)
