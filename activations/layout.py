"""Which submodule of a Hugging Face model is which hook point, by transformer-lens's adapters."""

import copy
import re
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory
from transformer_lens.model_bridge import ArchitectureAdapter
from transformer_lens.model_bridge.sources import build_bridge_config_from_hf
from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
from transformers import PreTrainedModel

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint, Site

_ALIASED: tuple[Site, ...] = ("resid_mid", "attn_out", "mlp_out")
_ALIAS = re.compile(r"(.+)\.hook_(in|out)")


@dataclass(frozen=True)
class HookPlace:
    """The side of a module at which a hook point's activation passes."""

    module: nn.Module
    side: Literal["in", "out"]


@dataclass(frozen=True, eq=False)
class Layout:
    """A model's sizes and its hook points. A site that an architecture does not have is not among them."""

    architecture: str
    n_layers: int
    d_model: int
    n_heads: int
    d_vocab: int
    n_ctx: int
    places: dict[HookPoint, HookPlace]

    def width(self, point: HookPoint) -> int:
        """How many numbers pass at a point for each token; UserError where the model has no heads for `z`."""
        if point.site != "z":
            return self.d_model
        if point not in self.places:
            raise UserError(f"no {point} in {self.architecture}: its width is not known")
        # The projection knows best: a head's width need not be d_model / n_heads.
        projection: Any = self.places[point].module
        return int(projection.in_features if hasattr(projection, "in_features") else projection.nx)


def select_adapter(model: PreTrainedModel, name: str) -> ArchitectureAdapter:
    """Transformer-lens's adapter for this model's architecture; UserError when it has none."""
    # A model that was never saved has no architectures in its config; its class is the first of them anyway.
    config = copy.copy(model.config)
    config.architectures = [type(model).__name__, *(config.architectures or ())]
    try:
        architecture = determine_architecture_from_hf_config(config)
        bridge_config = build_bridge_config_from_hf(model.config, architecture, name, model.dtype)
        return ArchitectureAdapterFactory.select_architecture_adapter(bridge_config)
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
    cfg, architecture = adapter.cfg, str(adapter.cfg.architecture)
    n_layers = cfg.n_layers
    if adapter.component_mapping is None or "blocks" not in adapter.component_mapping:
        raise UserError(
            f"{name}: {architecture} has no decoder blocks to hook; a decoder-only model was expected"
        )
    block_bridge = adapter.component_mapping["blocks"]
    places: dict[HookPoint, HookPlace] = {}
    for layer in range(n_layers):
        block = _component(adapter, model, f"blocks.{layer}")
        if block is None:
            raise UserError(
                f"{name}: its config says {n_layers} layers, but block {layer} is not in the model"
            )
        places[HookPoint(layer, "resid_pre")] = HookPlace(block, "in")
        places[HookPoint(layer, "resid_post")] = HookPlace(block, "out")
        projection = _component(adapter, model, f"blocks.{layer}.attn.o")
        if projection is not None and (hasattr(projection, "in_features") or hasattr(projection, "nx")):
            places[HookPoint(layer, "z")] = HookPlace(projection, "in")
        for site in _ALIASED:
            alias = _ALIAS.fullmatch(str(block_bridge.hook_aliases.get(f"hook_{site}")))
            module = _component(adapter, model, f"blocks.{layer}.{alias[1]}") if alias else None
            if alias and module is not None:
                places[HookPoint(layer, site)] = HookPlace(module, "in" if alias[2] == "in" else "out")
    if _component(adapter, model, f"blocks.{n_layers}") is not None:
        raise UserError(f"{name}: its config says {n_layers} layers, but the model has more blocks")
    embeddings: Any = model.get_input_embeddings()
    d_vocab = int(embeddings.weight.shape[0])
    return Layout(architecture, n_layers, cfg.d_model, cfg.n_heads, d_vocab, cfg.n_ctx, places)


def _component(adapter: ArchitectureAdapter, model: PreTrainedModel, path: str) -> nn.Module | None:
    try:
        component = adapter.get_component(model, path)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return component if isinstance(component, nn.Module) else None
