"""The likeliest first tokens, openings, and how wide each choice was: against plain passes."""

import pytest
import torch

from tests.activations.reference import PROMPTS
from undertext.activations import UserError, generate, next_tokens


@torch.no_grad()
def logits_after(checkpoint, ids):
    return checkpoint.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]


def test_they_are_those_of_the_logits(checkpoint):
    found = next_tokens(checkpoint, PROMPTS, 5, batch_tokens=20)
    for row, ids in enumerate(checkpoint.encode(PROMPTS)):
        top = logits_after(checkpoint, ids).log_softmax(dim=-1).topk(5)
        assert found.ids[row].tolist() == top.indices.tolist()
        torch.testing.assert_close(found.log_probs[row], top.values, atol=1e-4, rtol=1e-4)


def test_the_first_is_what_greedy_writes(checkpoint):
    first = next_tokens(checkpoint, PROMPTS, 1).ids[:, 0].tolist()
    end = checkpoint.tokenizer.eos_token_id
    written = [row[0] if row else end for row in generate(checkpoint, PROMPTS, max_new_tokens=1).tokens]
    assert first == written


def test_rows_begin_with_their_openings_and_go_on_from_them(checkpoint):
    openings = [5 + row for row in range(len(PROMPTS))]
    found = generate(checkpoint, PROMPTS, max_new_tokens=6, openings=openings, samples=2)
    opened = [[*ids, token] for ids, token in zip(checkpoint.encode(PROMPTS), openings, strict=True)]
    rest = generate(checkpoint, opened, max_new_tokens=5).tokens
    assert found.tokens == [
        [token, *row] for token, row in zip(openings, rest, strict=True) for _ in range(2)
    ]


def test_an_opening_that_ends_a_row_ends_it(checkpoint):
    end = checkpoint.tokenizer.eos_token_id
    found = generate(checkpoint, PROMPTS[:2], max_new_tokens=6, openings=[end, 5])
    assert found.tokens[0] == []
    assert found.tokens[1][0] == 5
    stopped = generate(checkpoint, PROMPTS[:1], max_new_tokens=6, openings=[5], stop=[checkpoint.decode([5])])
    assert stopped.texts == [""]


def test_margins_are_those_of_the_distributions_chosen_from(checkpoint):
    found = generate(
        checkpoint, PROMPTS, max_new_tokens=5, margins=True, openings=[7] * len(PROMPTS), batch_size=3
    )
    assert found.margins is not None
    for ids, tokens, margins in zip(checkpoint.encode(PROMPTS), found.tokens, found.margins, strict=True):
        assert len(tokens) == len(margins)
        for i, margin in enumerate(margins):
            top = logits_after(checkpoint, [*ids, *tokens[:i]]).softmax(dim=-1).topk(2).values
            assert margin == pytest.approx(float(top[0] - top[1]), abs=1e-5)
    assert generate(checkpoint, PROMPTS, max_new_tokens=2).margins is None


@pytest.mark.parametrize("k", [0, 1000])
def test_more_tokens_than_there_are_is_refused(llama, k):
    with pytest.raises(UserError, match=f"k must be 1 to {llama.d_vocab}, .* got {k}"):
        next_tokens(llama, PROMPTS, k)


@pytest.mark.parametrize(
    ("openings", "says"), [([5], "each of 7 prompts, got 1"), ([5] * 6 + [99], "token id 99")]
)
def test_openings_that_are_refused(llama, openings, says):
    with pytest.raises(UserError, match=says):
        generate(llama, PROMPTS, max_new_tokens=2, openings=openings)
