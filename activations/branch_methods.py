"""Which way of scoring branches is right for a model, and which is fastest."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.cache_utils import get_layer_types_and_kwargs

from undertext.activations.batching import out_of_memory
from undertext.activations.branch_passes import Windows, cached, naive, packed
from undertext.activations.branch_tree import Branch, BranchTree, build_tree
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.quiet import quiet
from undertext.activations.rope import rope_switches

Method = Literal["packed", "cached", "naive"]
"""`packed`: one pass over trunk and branches, told apart by a mask. `cached`: the trunk, then all branches
over its keys and values. `naive`: a row for each branch."""

SHARED: dict[str, Callable[[Checkpoint, Sequence[BranchTree], Windows], list[Float[Tensor, " n"]]]] = {
    "packed": packed,
    "cached": cached,
}

_CACHED_PAYS = {"cpu": 2000, "accelerator": 800}
"""From how many trunk tokens on a second pass over the weights costs less than a mask over everything.
On a CPU, where a packed pass reads its trunk as causal, packed over cached is 0.94 at 400 tokens, 0.97 at
1,200, 1.00 at 2,000 and 0.98 at 3,000 (benchmarks/branch_ways.py: width 512, 8 layers; rounds differ by a
fifth). Where they are equal the mask, which grows with the square, decides. Under the mask alone, as
elsewhere, they were equal at 800; on a GPU it was not measured."""


def windows_of(checkpoint: Checkpoint) -> Windows | None:
    """The kinds of attention layer with their windows; None when the model cannot be given positions and a
    mask of one's own.

    Told by its config: linear attention, state spaces and attention in chunks are more than a mask.
    """
    config = checkpoint.model.config.get_text_config(decoder=True)
    found: tuple[list[str], Any] = get_layer_types_and_kwargs(config)
    kinds, details = found
    if isinstance(details, dict):  # transformers up to 5.18 has one for all layers that have windows
        details = [{} if kind == "full_attention" else details for kind in kinds]
    if not set(kinds) <= {"full_attention", "sliding_attention"}:
        return None
    if config._attn_implementation not in ("sdpa", "eager"):  # the others make masks of their own kind
        return None
    if (
        not {"position_ids", "attention_mask"}
        <= inspect.signature(checkpoint.model.forward).parameters.keys()
    ):
        return None
    windows: Windows = {}
    for kind, detail in zip(kinds, details, strict=True):
        window = detail.get("sliding_window")
        if windows.setdefault(kind, window) != window:
            return None
    return windows


def choose(tree: BranchTree, device: torch.device) -> Method:
    """The faster of the two shared ways for one tree (measured by benchmarks/branch_ways.py)."""
    pays = _CACHED_PAYS["cpu" if device.type == "cpu" else "accelerator"]
    return "cached" if tree.n_hung and tree.n_trunk >= pays else "packed"


_equal_up_to: "WeakKeyDictionary[Checkpoint, dict[Method, int]]" = WeakKeyDictionary()
"""The longest text for which a way was seen to be right; 0 once it was seen not to be."""


def holds(checkpoint: Checkpoint, method: Method, trunk: Sequence[int], windows: Windows) -> bool:
    """Whether `method` gives what the naive way gives, for texts as long as `trunk`.

    Tried once for a checkpoint, and again when a longer text comes: what its config does not tell, such as
    a window of some kind of its own, shows only past a certain length. Equal means within 1e-4, or in half
    precision within 32 times its rounding of 1 (0.25 in bfloat16).
    """
    known = _equal_up_to.setdefault(checkpoint, {})
    if known.get(method) != 0 and len(trunk) > known.get(method, 0):
        known[method] = len(trunk) if _try(checkpoint, method, trunk, windows) else 0
    return known[method] != 0


def _try(checkpoint: Checkpoint, method: Method, trunk: Sequence[int], windows: Windows) -> bool:
    # Branches that end past a switch of the rope cannot share a trunk at all, and would tell nothing.
    most = min((checkpoint.n_ctx, *rope_switches(checkpoint)[:1]))
    trunk = trunk[: max(1, most - 3)]
    # Other tokens than the trunk's own next ones, or there would be nothing to tell apart.
    branches = [
        Branch(at, [(trunk[(at + i) % len(trunk)] + 1) % checkpoint.d_vocab for i in range(3)])
        for at in (1, len(trunk))
    ]
    expected = naive(checkpoint, [[*trunk[: b.at], *b.tokens] for b in branches], [3, 3])
    try:
        with quiet():
            (found,) = SHARED[method](checkpoint, [build_tree(trunk, branches)], windows)
    except Exception as error:  # whatever a model makes of a mask that it was not written for
        if out_of_memory(error):
            raise
        return False
    tolerance = max(1e-4, 32 * torch.finfo(checkpoint.dtype).eps)
    return torch.allclose(found, torch.cat(expected), rtol=0, atol=tolerance, equal_nan=True)
