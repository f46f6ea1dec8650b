"""The slow and obvious way: one prompt at a time, the whole text read again at each step, a plain hook."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from undertext.activations import Checkpoint, HookPoint, Intervention

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


def acts_at(
    checkpoint: Checkpoint, intervention: Intervention, ids: Sequence[int], prompt: int, position: int
) -> bool:
    """Whether its gates but for the threshold are open at a position of a text after a prompt."""
    if isinstance(intervention.at, tuple):
        opened = position in {index % prompt for index in intervention.at}
    else:
        opened = {
            "last_prompt": position == prompt - 1,
            "prompt": position < prompt,
            "generated": position >= prompt,
            "all": True,
        }[intervention.at]
    if intervention.first is not None and position >= prompt:
        opened = opened and position - prompt < intervention.first
    if intervention.tokens is not None:
        opened = opened and ids[position] in intervention.tokens
    if intervention.pattern is not None:
        text = checkpoint.decode(ids[: position + 1])
        opened = opened and any(
            re.fullmatch(intervention.pattern, text[start:]) is not None for start in range(len(text) + 1)
        )
    return opened


def operate(intervention: Intervention, dose: float, h: Tensor) -> Tensor:
    """What an operator makes of one activation [d_model], in float64 by its definition."""
    exact, vector = h.double(), intervention.vector.double()
    basis = torch.linalg.qr(torch.atleast_2d(vector).T).Q
    u = vector / vector.norm()
    if intervention.operator == "add":
        out = exact + dose * vector
    elif intervention.operator == "ablate":
        out = exact - dose * basis @ (basis.T @ exact)
    elif intervention.operator == "clamp":
        out = exact - (exact @ u) * u + dose * u
    elif intervention.operator == "affine":
        assert intervention.centre is not None
        out = exact + dose * basis @ (basis.T @ (intervention.centre.double() - exact))
    elif intervention.operator == "replace":
        out = (1 - dose) * exact + dose * vector
    else:
        direction = exact / exact.norm()
        between = torch.arccos(direction @ u)
        # Spherical interpolation between the two directions.
        kept, turned = torch.sin((1 - dose) * between), torch.sin(dose * between)
        out = exact.norm() * (kept * direction + turned * u) / torch.sin(between)
    return out.to(h.dtype)


def read(
    checkpoint: Checkpoint, ids: Sequence[int], prompt: int, *interventions: Intervention
) -> tuple[Tensor, set[int]]:
    """Logits [position, d_vocab] of one text whose first tokens are a prompt; where interventions acted."""
    changed: set[int] = set()

    def changer(intervention: Intervention) -> Callable[[Tensor], Tensor]:
        def change(activation: Tensor) -> Tensor:
            out = activation.clone()
            for i in range(len(ids)):
                if not acts_at(checkpoint, intervention, ids, prompt, i):
                    continue
                threshold = intervention.threshold
                if threshold and not activation[0, i] @ threshold.direction + threshold.bias > 0:
                    continue
                dose = intervention.dose * intervention.decay ** max(0, i - prompt)
                out[0, i] = operate(intervention, dose, activation[0, i])
                changed.add(i)
            return out

        return change

    with torch.no_grad(), ExitStack() as stack:
        for intervention in interventions:
            stack.callback(attach(checkpoint, intervention.point, changer(intervention)).remove)
        logits = checkpoint.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return logits, changed


class Written(NamedTuple):
    """What came after one prompt."""

    tokens: list[int]
    """Up to an end token."""
    changed: set[int]
    """Where in prompt and tokens interventions acted, in the pass that chose the last token."""
    produced: int
    """How many tokens were chosen, an end token among them."""


def write_out(
    checkpoint: Checkpoint, prompt: Sequence[int], steps: int, *interventions: Intervention
) -> Written:
    """Write on greedily from one prompt."""
    ids, changed, produced = list(prompt), set[int](), 0
    for _ in range(steps):
        logits, changed = read(checkpoint, ids, len(prompt), *interventions)
        produced += 1
        ids.append(int(logits[-1].argmax()))
        if ids[-1] == checkpoint.tokenizer.eos_token_id:
            ids.pop()
            break
    return Written(ids[len(prompt) :], changed, produced)


def write(
    checkpoint: Checkpoint, prompt: Sequence[int], steps: int, *interventions: Intervention
) -> tuple[list[int], int]:
    """The greedy tokens after one prompt, up to an end token; at how many tokens interventions acted."""
    out = write_out(checkpoint, prompt, steps, *interventions)
    return out.tokens, len(out.changed)
