"""What Hugging Face says of a family, by its own attribute names; reading our hooks for a batch."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.toys import Family
from undertext.activations import SITES, Checkpoint, HookPoint, hooked

TEXTS = (
    "Let x = 12; then x * 2 is 24",
    "Q",
    "The quick brown fox thinks, then doubts, then answers.",
    "Q: 3 + 4 = ?",
    "so it is",
    "A: 7 then 9",
    "x = 5; y = x + 9; what is y then?",
)
"""Prompts of mixed length, most of them longer than the families' windows."""

PARALLEL: tuple[Family, ...] = ("pythia", "phi")
WINDOWS: tuple[Family, ...] = ("mistral", "gemma2", "gemma3")
NORMS_AFTER: tuple[Family, ...] = ("gemma2", "gemma3")


def locate_values(family: Family) -> list[HookPoint]:
    """All hook points a three-layer model of this family must have."""
    sites = [site for site in SITES if site != "resid_mid" or family not in PARALLEL]
    return [HookPoint(layer, site) for layer in range(3) for site in sites]


def base(checkpoint: Checkpoint) -> Any:
    return checkpoint.model.base_model


def block(checkpoint: Checkpoint, layer: int) -> Any:
    stack = base(checkpoint)
    return (stack.h if hasattr(stack, "h") else stack.layers)[layer]


def final_norm(checkpoint: Checkpoint) -> Any:
    names = ("norm", "ln_f", "final_layer_norm", "final_layernorm")
    return next(getattr(base(checkpoint), name) for name in names if hasattr(base(checkpoint), name))


def project(checkpoint: Checkpoint, layer: int, z: Tensor) -> Tensor:
    """Attention's output projection, and the norm after it where there is one, from their weights."""
    inner = block(checkpoint, layer)
    attention = next(getattr(inner, n) for n in ("self_attn", "attention", "attn") if hasattr(inner, n))
    linear = next(getattr(attention, n) for n in ("o_proj", "dense", "c_proj") if hasattr(attention, n))
    weight = linear.weight if isinstance(linear, nn.Linear) else linear.weight.T  # GPT-2's are [in, out]
    out = nn.functional.linear(z, weight, linear.bias)
    if not hasattr(inner, "pre_feedforward_layernorm"):
        return out
    gain, eps = inner.post_attention_layernorm.weight, inner.post_attention_layernorm.eps
    wide = out.float()
    scale = (wide.square().mean(dim=-1, keepdim=True) + eps).rsqrt()
    return (wide * scale * (1 + gain.float())).to(out)


def passes(
    checkpoint: Checkpoint, ids: Tensor, points: list[HookPoint]
) -> tuple[dict[HookPoint, Tensor], Tensor]:
    """What passes at each point, and the logits, of one pass over `ids` with no padding in them."""
    seen: dict[HookPoint, Tensor] = {}

    def reader(point: HookPoint):
        return lambda activation: seen.update({point: activation.clone()})

    with torch.no_grad(), hooked(checkpoint, {point: reader(point) for point in points}):
        logits = checkpoint.model(input_ids=ids).logits
    return seen, logits


def bare(checkpoint: Checkpoint, ids: Tensor) -> Any:
    """The model's own output, hidden states included."""
    with torch.no_grad():
        return checkpoint.model(input_ids=ids, use_cache=False, output_hidden_states=True)


def distance(found: Tensor, expected: Tensor) -> float:
    """Of two activations [n, d], relative to the larger part of the expected ones."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())
