"""Scores of branches, against each branch's text run on its own."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.activations.branch_models import D_VOCAB, N_CTX, SHARING, config, load, score_each
from undertext.activations import Branch, BranchScores, score_branches
from undertext.activations.branch_methods import Method
from undertext.activations.branch_tree import build_tree

EXAMPLE = random.Random(0)
TRUNKS = [[EXAMPLE.randrange(D_VOCAB) for _ in range(length)] for length in (23, 6, 14)]
BRANCHES = [
    [
        Branch(at, [EXAMPLE.randrange(D_VOCAB) for _ in range(EXAMPLE.randrange(1, 5))])
        for at in sorted(EXAMPLE.sample(range(1, len(trunk) + 1), 5))
    ]
    for trunk in TRUNKS
]


@pytest.mark.parametrize("method", ["packed", "cached", "naive"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", SHARING)
def test_every_family_and_way(family, attention, method):
    checkpoint = load(family, attention="eager" if family == "gemma2" else attention)
    scores = score_branches(checkpoint, TRUNKS, BRANCHES, method=method)
    torch.testing.assert_close(scores.tokens, score_each(checkpoint, TRUNKS, BRANCHES), rtol=0, atol=1e-4)
    assert set(scores.methods) == {method}


@pytest.mark.parametrize("family", SHARING)
def test_a_trunk_is_shared_unless_told_otherwise(family):
    scores = score_branches(load(family), TRUNKS, BRANCHES)
    assert set(scores.methods) == {"packed"}


@pytest.mark.parametrize("method", ["packed", "cached", "naive"])
@pytest.mark.parametrize("family", SHARING)
def test_bfloat16(family, method):
    """As close to itself run on its own as 8 bits allow: the same bound as between two batches."""
    checkpoint = load(family, dtype=torch.bfloat16)
    scores = score_branches(checkpoint, TRUNKS, BRANCHES, method=method)
    expected = score_each(checkpoint, TRUNKS, BRANCHES)
    assert scores.tokens.dtype == torch.float32
    assert (scores.tokens - expected).abs().max() < 0.25


@pytest.mark.parametrize("family", ["bloom", "mamba", "gpt_neo", "phi3_long"])
def test_what_cannot_share_a_trunk_is_scored_all_the_same(family):
    checkpoint = load(family)
    scores = score_branches(checkpoint, TRUNKS, BRANCHES)
    torch.testing.assert_close(scores.tokens, score_each(checkpoint, TRUNKS, BRANCHES), rtol=0, atol=1e-4)
    assert "naive" in scores.methods


def test_a_longer_text_is_tried_anew():
    """Its local layers have a window that no config of attention layers names: short texts do not show it."""
    local = config("gpt_neo")
    local.window_size = 12
    checkpoint = load(local)
    short, long = [[1, 5]], [list(range(4, 30))]
    branches = [[Branch(2, [7, 8])]], [[Branch(20, [7, 8, 9]), Branch(26, [7, 8, 9])]]
    assert set(score_branches(checkpoint, short, branches[0]).methods) == {"packed"}
    scores = score_branches(checkpoint, long, branches[1])
    torch.testing.assert_close(scores.tokens, score_each(checkpoint, long, branches[1]), rtol=0, atol=1e-4)
    assert set(scores.methods) == {"naive"}


LLAMA, GEMMA = load("llama"), load("gemma2", attention="eager")
METHODS: tuple[Method, ...] = ("packed", "cached", "naive")
tokens = st.integers(0, D_VOCAB - 1)
few_tokens = st.integers(4, 5)  # so that branches run along each other, and along the trunk


@st.composite
def hung_trunks(draw, token):
    trunks = draw(st.lists(st.lists(token, min_size=1, max_size=N_CTX - 8), max_size=4))
    branches = []
    for trunk in trunks:
        hung = []
        for _ in range(draw(st.integers(0, 6))):
            continuation = draw(st.lists(token, min_size=1, max_size=8))
            given_ = draw(st.integers(0, len(continuation) - 1))
            hung.append((draw(st.integers(0 if given_ else 1, len(trunk))), continuation, given_))
        branches.append(hung)
    return trunks, branches


def same(scores: BranchScores, expected: torch.Tensor) -> None:
    torch.testing.assert_close(scores.tokens, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("checkpoint", [LLAMA, GEMMA], ids=["llama", "gemma2"])
@settings(max_examples=30)
@given(st.one_of(hung_trunks(tokens), hung_trunks(few_tokens)), st.sampled_from([1, 40, 200, 4096]))
def test_any_trunks_in_any_batches(checkpoint, method, hung, max_tokens):
    trunks, places = hung
    branches = [[Branch(*place) for place in each] for each in places]
    if not any(branches):
        scores = score_branches(checkpoint, trunks, branches, method=method)
        assert (len(scores.tokens), len(scores.sums), scores.starts.tolist()) == (0, 0, [0])
        return
    scores = score_branches(checkpoint, trunks, branches, method=method, max_tokens=max_tokens)
    same(scores, score_each(checkpoint, trunks, branches))
    assert scores.methods == (method,) * sum(map(len, branches))
    sizes = [len(b.tokens) - b.given for each in branches for b in each]
    assert scores.starts.diff().tolist() == sizes
    expected = torch.stack([part.sum() for part in scores.tokens.split(sizes)])
    torch.testing.assert_close(scores.sums, expected)
    for index, each in enumerate(branches):
        assert len(scores.of(index)) == len(each)
    torch.testing.assert_close(torch.cat([scores.of(i) for i in range(len(trunks))]), expected)


def test_the_two_ways_are_told_apart_by_length():
    long, short = Branch(2600, [5, 6]), Branch(20, [5, 6])
    roomy = config("llama")
    roomy.max_position_embeddings = 4096
    checkpoint = load(roomy)
    trunk = [i % 30 for i in range(2600)]
    scores = score_branches(checkpoint, [trunk, trunk], [[long], [short]])
    assert scores.methods == ("cached", "packed")
    same(scores, score_each(checkpoint, [trunk, trunk], [[long], [short]]))


def test_each_distinct_prefix_is_read_once():
    trunk = [1, 2, 3, 4, 5, 6]
    branches = [Branch(2, [7, 8, 9]), Branch(2, [7, 8, 10]), Branch(2, [3, 4, 11]), Branch(4, [12])]
    tree = build_tree(trunk, branches)
    # The trunk up to the last branch, then 7 and 8: 3 and 4 are the trunk's own, last tokens are not read.
    assert (tree.tokens, tree.n_trunk) == ([1, 2, 3, 4, 7, 8], 4)
    assert (tree.parents, tree.positions) == ([-1, 0, 1, 2, 1, 4], [0, 1, 2, 3, 2, 3])
    assert tree.seen(None)[5].tolist() == [True, True, False, False, True, True]
    assert tree.seen(2)[5].tolist() == [False, False, False, False, True, True]


@pytest.mark.parametrize("method", METHODS)
def test_logits_are_made_only_where_they_are_scored(method):
    checkpoint = load("llama")
    made = []
    handle = checkpoint.model.get_output_embeddings().register_forward_hook(
        lambda module, args, output: made.append(output.shape)
    )
    score_branches(checkpoint, TRUNKS, BRANCHES, method=method)  # tries the way
    made.clear()
    scores = score_branches(checkpoint, TRUNKS, BRANCHES, method=method)
    handle.remove()
    assert sum(shape[:2].numel() for shape in made) <= len(scores.tokens)
    assert {shape[0] for shape in made} == {1}


def test_nothing_is_left_on_the_model_and_no_gradient_is_kept():
    checkpoint = load("llama")
    scores = score_branches(checkpoint, TRUNKS, BRANCHES)
    assert not scores.tokens.requires_grad
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in checkpoint.model.modules())
    assert all(parameter.grad is None for parameter in checkpoint.model.parameters())


def test_progress_counts_every_branch():
    done: list[int] = []
    score_branches(LLAMA, TRUNKS, BRANCHES, max_tokens=20, progress=done.append)
    assert sum(done) == 15
    assert len(done) > 1


def test_very_many_branches_are_cut_into_passes(monkeypatch):
    """At the scale of a real vocabulary a trunk's logits would not fit: here 20 rows of them are too many."""
    monkeypatch.setattr("undertext.activations.branch_plan._LOGITS_AT_ONCE", 20 * D_VOCAB)
    most = []
    handle = LLAMA.model.get_output_embeddings().register_forward_hook(
        lambda module, args, output: most.append(output.shape[1])
    )
    trunk = TRUNKS[0]
    branches = [Branch(at, [token, 5]) for at in range(1, len(trunk) + 1) for token in (7, 8, 9)]
    scores = score_branches(LLAMA, [trunk], [branches])
    handle.remove()
    same(scores, score_each(LLAMA, [trunk], [branches]))
    assert max(most) <= 20


def test_a_way_that_turns_out_wrong_is_not_taken(monkeypatch):
    """A model that ignores the mask it is given: told by trying, not by its config."""
    checkpoint = load("llama")
    forward = checkpoint.model.model.forward

    def blind(*args, attention_mask=None, **kwargs):
        return forward(*args, attention_mask=None, **kwargs)

    monkeypatch.setattr(checkpoint.model.model, "forward", blind)
    scores = score_branches(checkpoint, TRUNKS, BRANCHES)
    same(scores, score_each(checkpoint, TRUNKS, BRANCHES))
    assert set(scores.methods) == {"naive"}


@pytest.mark.parametrize("method", ["packed", "cached"])
def test_padding_reads_itself(method, monkeypatch):
    """A token that reads nothing has no softmax: in half precision its NaN would reach the others."""
    checkpoint = load("llama")
    forward = checkpoint.model.model.forward
    masks = []

    def activation_recording(*args, attention_mask=None, **kwargs):
        masks.append(attention_mask)
        return forward(*args, attention_mask=attention_mask, **kwargs)

    monkeypatch.setattr(checkpoint.model.model, "forward", activation_recording)
    score_branches(checkpoint, TRUNKS, BRANCHES, method=method)
    custom = [mask for mask in masks if mask is not None and mask.ndim == 4]
    assert custom
    assert all((mask == 0).any(dim=-1).all() for mask in custom)
