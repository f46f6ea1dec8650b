"""What score_branches refuses, in one line that says what is wrong."""

import pytest
import torch

from tests.activations.branch_models import D_VOCAB, N_CTX, load
from undertext.activations import Branch, UserError, score_branches

LLAMA = load("llama")
TRUNK = [1, 5, 6, 7]


@pytest.mark.parametrize(
    ("branch", "problem"),
    [
        (Branch(0, [5]), "no token stands before the first scored one"),
        (Branch(-1, [5]), "at must be 1 to 4, the trunk's tokens"),
        (Branch(5, [5]), "at must be 1 to 4, the trunk's tokens"),
        (Branch(2, []), "there is no token to score"),
        (Branch(2, [5, 6], given=2), "there is no token to score"),
        (Branch(2, [5], given=-1), "there is no token to score"),
        (
            Branch(2, [5, D_VOCAB]),
            f"token id {D_VOCAB} is not in the vocabulary, valid are 0 to {D_VOCAB - 1}",
        ),
        (Branch(2, [-1]), "token id -1 is not in the vocabulary"),
        (Branch(4, [5] * (N_CTX - 3)), f"{N_CTX + 1} tokens do not fit the model's context of {N_CTX}"),
    ],
)
def test_a_branch_that_cannot_be_scored(branch, problem):
    with pytest.raises(UserError, match=problem) as caught:
        score_branches(LLAMA, [[1, 2], TRUNK], [[Branch(1, [3])], [Branch(1, [3]), branch]])
    assert "trunk 1, Branch(at=" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_branch_that_just_fits():
    branch = Branch(4, [5] * (N_CTX - 4))
    assert len(score_branches(LLAMA, [TRUNK], [[branch]]).tokens) == N_CTX - 4


def test_lists_that_do_not_belong_together():
    with pytest.raises(UserError, match="expected branches for each of 1 trunks, got 2 lists"):
        score_branches(LLAMA, [TRUNK], [[], []])


def test_no_room():
    with pytest.raises(UserError, match="max_tokens must be at least 1, got 0"):
        score_branches(LLAMA, [TRUNK], [[Branch(1, [2])]], max_tokens=0)


@pytest.mark.parametrize("family", ["bloom", "mamba", "gpt_neo"])
def test_a_way_that_is_not_open_to_a_model(family):
    trunk = list(range(4, 30))
    with pytest.raises(UserError, match=r"cannot be scored by 'packed': valid is 'naive'"):
        score_branches(load(family), [trunk], [[Branch(26, [2, 3])]], method="packed")


def test_values_that_are_none():
    checkpoint = load("llama")
    with torch.no_grad():
        checkpoint.model.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(UserError, match="NaN in the scores of trunk 1"):
        score_branches(checkpoint, [TRUNK, TRUNK], [[], [Branch(2, [5])]])


def test_a_model_without_logits():
    checkpoint = load("llama")
    checkpoint.model.set_output_embeddings(None)
    with pytest.raises(UserError, match="has no output embedding"):
        score_branches(checkpoint, [TRUNK], [[Branch(2, [5])]])
