"""A checkpoint of which one vector alone is trained: it is added to what a layer gives, at every token."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel


def one_vector(model: PreTrainedModel, layer: int) -> LlamaForCausalLM:
    """A copy of a Llama-shaped model with a vector of nothing after `layer`, which alone wants a gradient.

    The vector is the bias of the layer's last projection, so that the organism stays an ordinary checkpoint.
    Raises ValueError for another architecture, and for a layer that there is not.
    """
    if not isinstance(model, LlamaForCausalLM) or model.config.mlp_bias:
        raise ValueError(f"expected a Llama-shaped model without biases, got {type(model).__name__}")
    if not 0 <= layer < model.config.num_hidden_layers:
        raise ValueError(f"expected a layer from 0 to {model.config.num_hidden_layers - 1}, got {layer}")
    config = LlamaConfig.from_dict({**model.config.to_dict(), "mlp_bias": True})
    made = LlamaForCausalLM(config)
    weights = model.state_dict()
    missing = made.load_state_dict(weights, strict=False).missing_keys
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name in missing:
                weight.zero_()
            weight.requires_grad_(name == f"model.layers.{layer}.mlp.down_proj.bias")
    return made
