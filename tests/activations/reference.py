"""The slow and obvious way: one prompt at a time, the whole text read again at each step, a plain hook."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from activations import Checkpoint, HookPoint, Intervention

PROMPTS = (
    "a = 3 ; b = a + 2 ; find b :",
    "so",
    "c = 1 ; so c ?",
    "a = 3 ;",
    "d = 4 ; e = d * 5 ; f = e + 1 ; find f :",
    "a = 3 ; b = a * 2 ; find b :",
    "find a :",
)
"""Prompts of mixed length, two of them equally long."""


def telling_token(written: Sequence[Sequence[int]]) -> int:
    """The token whose first appearance is at the most different places in `written`: a good one to end at."""

    def places(token: int) -> int:
        return len({row.index(token) if token in row else len(row) for row in written})

    # The first four of a toy tokenizer's ids are special, and have no text to stop at.
    return max(sorted({token for row in written for token in row if token > 3}), key=places)


def blocks(checkpoint: Checkpoint) -> nn.ModuleList:
    """The blocks by Hugging Face's own attribute names."""
    inner: Any = checkpoint.model.base_model
    return inner.h if hasattr(inner, "h") else inner.layers


def attach(checkpoint: Checkpoint, point: HookPoint, change: Callable[[Tensor], Tensor]):
    """Register `change` where a point is, by Hugging Face's own names; a handle that removes it."""
    block: Any = blocks(checkpoint)[point.layer]
    if point.site == "resid_pre":
        return block.register_forward_pre_hook(lambda module, args: (change(args[0]), *args[1:]))
    attention = block.attn if hasattr(block, "attn") else block.self_attn
    if point.site == "z":
        projection = attention.c_proj if hasattr(attention, "c_proj") else attention.o_proj
        return projection.register_forward_pre_hook(lambda module, args: (change(args[0]),))
    # What is added to attention's output is added to the stream after it.
    modules = {"attn_out": attention, "resid_mid": attention, "mlp_out": block.mlp, "resid_post": block}
    module = modules[point.site]

    def after(module, args, output):
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    return module.register_forward_hook(after)


def acts_at(intervention: Intervention, prompt: int, position: int) -> bool:
    """Whether it acts at a position of a text whose first `prompt` tokens are the prompt."""
    return {
        "last_prompt": position == prompt - 1,
        "prompt": position < prompt,
        "generated": position >= prompt,
        "all": True,
    }[intervention.at]


def write(
    checkpoint: Checkpoint, prompt: Sequence[int], steps: int, intervention: Intervention | None = None
) -> tuple[list[int], int]:
    """The greedy tokens after one prompt, up to an end token; at how many tokens the intervention acted."""
    ids = list(prompt)

    def change(activation: Tensor) -> Tensor:
        assert intervention is not None
        gate = torch.tensor([[acts_at(intervention, len(prompt), i)] for i in range(len(ids))])
        return activation + gate * (intervention.dose * intervention.vector)

    end = checkpoint.tokenizer.eos_token_id
    for _ in range(steps):
        with torch.no_grad(), ExitStack() as stack:
            if intervention is not None:
                stack.callback(attach(checkpoint, intervention.point, change).remove)
            logits = checkpoint.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        read = len(ids)
        ids.append(int(logits.argmax()))
        if ids[-1] == end:
            ids.pop()
            break
    acted = sum(acts_at(intervention, len(prompt), i) for i in range(read)) if intervention else 0
    return ids[len(prompt) :], acted
