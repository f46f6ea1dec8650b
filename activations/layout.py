"""Which submodule of a Hugging Face model is which hook point, by transformer-lens's adapters."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory
from transformer_lens.model_bridge import ArchitectureAdapter
from transformer_lens.model_bridge.sources import build_bridge_config_from_hf
from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
from transformers import PreTrainedModel

from activations.errors import UserError
from activations.hookpoint import HookPoint, Site

_INNER: tuple[Site, ...] = ("resid_mid", "attn_out", "mlp_out")
_ALIAS = re.compile(r"(.+)\.hook_(in|out)")


@dataclass(frozen=True)
class Place:
    """The side of a module at which a hook point's activation passes."""

    module: nn.Module
    side: Literal["in", "out"]


@dataclass(frozen=True, eq=False)
class Layout:
    """A model's sizes and its hook points. A site that an architecture does not have is not among them."""

    architecture: str
    n_layers: int
    d_model: int
    d_vocab: int
    n_ctx: int
    places: dict[HookPoint, Place]


def select_adapter(model: PreTrainedModel, name: str) -> ArchitectureAdapter:
    """Transformer-lens's adapter for this model's architecture; UserError when it has none."""
    try:
        architecture = determine_architecture_from_hf_config(model.config)
        config = build_bridge_config_from_hf(model.config, architecture, name, model.dtype)
        return ArchitectureAdapterFactory.select_architecture_adapter(config)
    except ValueError as error:
        raise UserError(
            f"{name}: transformer-lens knows no architecture {type(model).__name__} "
            "(it must be a decoder-only language model such as Llama, GPT-2, Qwen2)"
        ) from error


def build_layout(model: PreTrainedModel, adapter: ArchitectureAdapter, name: str) -> Layout:
    """Find every layer's hook points in `model`.

    The two ends of each block must be there (UserError otherwise). The sites inside it are where
    transformer-lens puts them for this architecture, and left out where it has none.
    """
    n_layers, d_model, architecture = adapter.cfg.n_layers, adapter.cfg.d_model, str(adapter.cfg.architecture)
    if adapter.component_mapping is None or "blocks" not in adapter.component_mapping:
        raise UserError(
            f"{name}: {architecture} has no decoder blocks to hook; a decoder-only model was expected"
        )
    block_bridge = adapter.component_mapping["blocks"]
    places: dict[HookPoint, Place] = {}
    for layer in range(n_layers):
        block = _component(adapter, model, f"blocks.{layer}")
        if block is None:
            raise UserError(
                f"{name}: its config says {n_layers} layers, but block {layer} is not in the model"
            )
        places[HookPoint(layer, "resid_pre")] = Place(block, "in")
        places[HookPoint(layer, "resid_post")] = Place(block, "out")
        for site in _INNER:
            alias = _ALIAS.fullmatch(str(block_bridge.hook_aliases.get(f"hook_{site}")))
            module = _component(adapter, model, f"blocks.{layer}.{alias[1]}") if alias else None
            if alias and module is not None:
                places[HookPoint(layer, site)] = Place(module, "in" if alias[2] == "in" else "out")
    if _component(adapter, model, f"blocks.{n_layers}") is not None:
        raise UserError(f"{name}: its config says {n_layers} layers, but the model has more blocks")
    embeddings: Any = model.get_input_embeddings()
    d_vocab = int(embeddings.weight.shape[0])
    return Layout(architecture, n_layers, d_model, d_vocab, adapter.cfg.n_ctx, places)


def _component(adapter: ArchitectureAdapter, model: PreTrainedModel, path: str) -> nn.Module | None:
    try:
        component = adapter.get_component(model, path)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return component if isinstance(component, nn.Module) else None
