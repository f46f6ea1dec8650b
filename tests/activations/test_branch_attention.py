"""Attention in two parts against attention under the whole mask."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from tests.activations.reference import PROMPTS
from undertext.activations.branch_attention import CausalFirst
from undertext.activations.branch_tree import Branch, BranchTree, build_tree
from undertext.activations.branches import score_branches

HEADS, GROUPS, WIDTH = 4, 2, 8


def tree_of(trunk: int, hangs: list[int], length: int) -> BranchTree:
    """A trunk of so many tokens, with branches of tokens that it has not."""
    branches = [Branch(at, [100 * k + i for i in range(length + 1)]) for k, at in enumerate(hangs, 1)]
    return build_tree(list(range(trunk)), [*branches, Branch(trunk, [999])])


def additive(tree: BranchTree, window: int | None = None) -> torch.Tensor:
    seen = torch.from_numpy(tree.seen(window))
    return torch.zeros(1, 1, *seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)


def attention(mask: torch.Tensor | None, tokens: int) -> torch.Tensor:
    """Of drawn queries over fewer heads of keys and values."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, heads, tokens, WIDTH, generator=generator) for heads in (HEADS, GROUPS, GROUPS)
    )
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=0.3, enable_gqa=True
    )


@given(st.integers(2, 12), st.lists(st.integers(1, 12), max_size=4), st.integers(1, 3), st.data())
def test_the_two_parts_are_what_the_mask_gives(trunk, hangs, length, data):
    tree = tree_of(trunk, [min(at, trunk) for at in hangs], length)
    mask = additive(tree)
    n = data.draw(st.integers(1, tree.n_trunk))
    expected = attention(mask, len(tree.tokens))
    with CausalFirst([mask], n):
        found = attention(mask, len(tree.tokens))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_another_mask_and_none_are_left_alone():
    mask, other = (additive(tree_of(6, [2, 4], 2), window) for window in (None, 2))
    for given_ in (other, None):
        expected = attention(given_, mask.shape[-1])
        with CausalFirst([mask], 6):
            assert torch.equal(attention(given_, mask.shape[-1]), expected)


@pytest.mark.parametrize("shape", ["llama", "gpt2", "qwen2"])
def test_a_packed_pass_reads_its_trunk_as_causal(checkpoints, shape, monkeypatch):
    """Every layer twice: the trunk of the shorter row, and all that comes after."""
    checkpoint = checkpoints[shape]
    trunks = sorted(checkpoint.encode(PROMPTS), key=len)[-2:]
    branches = [[Branch(2, [5, 6, 7]), Branch(len(trunk), [5, 6])] for trunk in trunks]
    score_branches(checkpoint, trunks, branches, method="packed")  # held to the naive way before
    calls: list[tuple[int, int, bool]] = []
    real = functional.scaled_dot_product_attention

    def seen(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is real:
            kept = self._masks
            self._masks = {}
            try:
                out = plain(self, func, types, args, kwargs)
            finally:
                self._masks = kept
            calls.append((args[0].shape[-2], args[1].shape[-2], kwargs.get("is_causal", False)))
            if kwargs["attn_mask"].data_ptr() in kept:
                split = plain(self, func, types, args, kwargs)
                torch.testing.assert_close(split, out, rtol=1e-5, atol=1e-6)
                calls[-1] = (self._n, args[1].shape[-2], True)
            return out
        return plain(self, func, types, args, kwargs)

    plain = CausalFirst.__torch_function__
    monkeypatch.setattr(CausalFirst, "__torch_function__", seen)
    score_branches(checkpoint, trunks, branches, method="packed")
    # The last token of a trunk is read: a branch continues it.
    assert calls == [(len(trunks[0]), max(map(len, trunks)) + 3, True)] * checkpoint.n_layers
