"""A shipped checkpoint in wider layers: as large as is asked for, and with the same answers."""

import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from undertext.core.shipped import SHIPPED


def widened(name: str, out: Path, *, d_model: int, d_mlp: int) -> Path:
    """The folder `out` with the shipped Llama `name` in layers so wide, all else zeros.

    A norm is over more entries of which the new ones are zero: its weights make up for that.
    """
    small = AutoModelForCausalLM.from_pretrained(SHIPPED / name)
    config = small.config
    before = config.hidden_size
    config.hidden_size, config.intermediate_size = d_model, d_mlp
    config.rms_norm_eps *= before / d_model
    wide = AutoModelForCausalLM.from_config(config)
    given = small.state_dict()
    with torch.no_grad():
        for key, weight in wide.state_dict().items():
            own = given[key]
            weight.zero_()
            scale = (before / d_model) ** 0.5 if own.ndim == 1 else 1.0
            weight[tuple(slice(n) for n in own.shape)] = scale * own
    wide.save_pretrained(out)
    for file in (SHIPPED / name).glob("tokenizer*"):
        shutil.copy(file, out)
    return out
