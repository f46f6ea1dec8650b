"""What tells two models apart: everything that a forward pass depends on, and nothing else."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from undertext.activations.adapted import adapter_settings

_APART = frozenset(
    {
        # names, places, versions
        "_name_or_path",
        "name_or_path",
        "architectures",
        "auto_map",
        "base_model_name_or_path",
        "model_type",
        "tokenizer_class",
        "transformers_version",
        # what is kept and given back beside the logits
        "keys_to_ignore_at_inference",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "use_cache",
        "use_return_dict",
        # what the parameters themselves tell
        "dtype",
        "torch_dtype",
        "tie_word_embeddings",
        # training and writing
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "sep_token_id",
        "initializer_factor",
        "initializer_range",
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        "router_aux_loss_coef",
    }
)
"""Keys of a config by which no activation can differ. Any other may, and so is part of the fingerprint."""


def fingerprint(model: PreTrainedModel) -> str:
    """16 hex digits of a SHA-256 over what a model's forward pass depends on.

    These are: its class; every parameter's name, type, shape and bytes, and which of them are one; its
    buffers; its config but for `_APART` and dropout; and which unmerged adapters are active, and their
    scales. Buffers that no file keeps are worked out from the config, in the last bits by the processor:
    they count rounded, and those of a rope that depends on the length of what was last read not at all.
    """
    digest = hashlib.sha256(f"{type(model).__name__}\n".encode())
    seen: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        first = seen.setdefault(id(parameter), name)
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}\n".encode())
        if first == name:
            _update(digest, parameter)
        else:
            digest.update(f"is {first}\n".encode())
    kept = model.state_dict(keep_vars=True).keys()
    for name, buffer in model.named_buffers():
        owner: Any = model.get_submodule(name.rpartition(".")[0])
        if name not in kept and _changes(owner):
            continue
        digest.update(f"{name} {tuple(buffer.shape)}\n".encode())
        rounded = name not in kept and buffer.is_floating_point()
        _update(digest, buffer.to(torch.bfloat16) if rounded else buffer)
    settings = _told(model.config.to_dict())
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update("".join(adapter_settings(model)).encode())
    return digest.hexdigest()[:16]


def _update(digest: Any, tensor: Tensor) -> None:
    flat = tensor.detach().reshape(-1).contiguous().cpu()
    digest.update(flat.view(torch.uint8).numpy().data)


def _changes(owner: Any) -> bool:
    """Whether a module is a rope whose frequencies are set anew with the length of what is read."""
    kinds = getattr(owner, "rope_type", None)
    return any("dynamic" in kind or kind == "longrope" for kind in _texts(kinds))


def _texts(kinds: Any) -> list[str]:
    return [str(kind) for kind in kinds.values()] if isinstance(kinds, dict) else [str(kinds)]


def _told(value: Any) -> Any:
    """A config's content as JSON keeps it, without what cannot matter."""
    if isinstance(value, dict):
        return {
            str(name): _told(inner)
            for name, inner in value.items()
            if name not in _APART
            and not str(name).endswith(("dropout", "_pdrop", "_drop", "dropout_rate", "dropout_prob"))
            and not str(name).startswith("_")
        }
    if isinstance(value, list | tuple):
        return [_told(inner) for inner in value]
    # A file may say 10000 where the model that wrote it was given 10000.0.
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**53 else value
    return value
