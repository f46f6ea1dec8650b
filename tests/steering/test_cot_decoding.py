"""CoT-decoding against each branch written alone, and on a model whose margins are set by hand."""

import re

import pytest
import torch

from tests.toys import SHAPES, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError
from undertext.steering.cot_decoding import CoTDecoding, cot_decode

PROMPTS = ["a = 3 ; find a :", "so", "b = 2 ; a = b + 1 ; find a :"]
WORDS = word_tokenizer()


def last_word(text: str, cut: bool = False) -> tuple[int, int] | None:
    found = list(re.finditer(r"\b[a-h0-9]\b", text))
    return found[-1].span() if found else None


@pytest.mark.parametrize("shape", SHAPES)
def test_each_branch_is_what_writing_it_alone_gives(shape):
    checkpoint = Checkpoint.load(tiny_model(shape, len(WORDS)), tokenizer=WORDS)
    found = cot_decode(checkpoint, PROMPTS, last_word, max_new_tokens=6, k=4, batch_size=5)
    assert found.margins.shape == (3, 4)
    assert any(answer is None for row in found.answers for answer in row) or found.margins.min() > 0
    written = 0
    for prompt, ids in enumerate(checkpoint.encode(PROMPTS)):
        with torch.no_grad():
            first = checkpoint.model(torch.tensor([ids])).logits[0, -1].topk(4).indices.tolist()
        for rank, token in enumerate(first):
            tokens, widths = alone(checkpoint, ids, token, 6)
            written += len(tokens)
            text = checkpoint.decode(tokens)
            assert found.texts[prompt][rank] == text
            span = last_word(text)
            answer = None if span is None else text[slice(*span)]
            assert found.answers[prompt][rank] == answer
            margin = 0.0
            if answer is not None:  # one token for each word here
                words = text.split()
                place = max(i for i, word in enumerate(words) if word == answer)
                shown = [i for i, t in enumerate(tokens) if checkpoint.decode([t])]
                margin = widths[shown[place]]
            assert found.margins[prompt, rank] == pytest.approx(margin, abs=1e-5)
    assert found.written == written


@torch.no_grad()
def alone(checkpoint: Checkpoint, ids: list[int], token: int, steps: int) -> tuple[list[int], list[float]]:
    """One branch, the whole text read again at each step: its tokens, and how wide each choice was."""
    tokens: list[int] = []
    widths: list[float] = []
    for step in range(steps):
        logits = checkpoint.model(torch.tensor([[*ids, *tokens]])).logits[0, -1]
        chosen = token if step == 0 else int(logits.argmax())
        if chosen == checkpoint.tokenizer.eos_token_id:
            break
        top = logits.softmax(dim=-1).topk(2).values
        tokens.append(chosen)
        widths.append(float(top[0] - top[1]))
    return tokens, widths


def decoding(answers: list[str | None], margins: list[float]) -> CoTDecoding:
    return CoTDecoding(
        [[str(answer) for answer in answers]], [answers], [[False] * len(answers)], torch.tensor([margins]), 0
    )


def test_the_two_ways_to_choose():
    widest = decoding(["7", "5", "7", None], [0.3, 0.5, 0.4, 0.0])
    assert widest.by_max() == [1]
    assert widest.by_sum() == [2]  # 7 has 0.7 in all, and its widest branch is the third
    assert decoding([None, None], [0.0, 0.0]).by_sum() == [0]
    assert decoding([None, None], [0.0, 0.0]).by_max() == [0]


def test_a_prompt_without_room_is_refused():
    checkpoint = Checkpoint.load(tiny_model("llama", len(WORDS), n_ctx=16), tokenizer=WORDS)
    with pytest.raises(UserError, match="prompt 2 is too long"):
        cot_decode(checkpoint, PROMPTS, last_word, max_new_tokens=6)
