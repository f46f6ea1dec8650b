"""Spans of tokens and of text, against prompts read one at a time and tokens found by hand."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from tests.activations.reference import PROMPTS
from tests.activations.texts import BYTE, WORD, checkpoint_with, spaced_words
from tests.checker import signatures_unchecked
from tests.toys import word_tokenizer
from undertext.activations import HookPoint, TextSpan, TokenSpan, UserError, capture
from undertext.activations.spans import locate, tokens_holding

POINT = HookPoint(1, "resid_mid")


def captured_at(checkpoint, prompts, positions):
    found = capture(checkpoint, prompts, [POINT], positions)
    return list(zip(found.rows.tolist(), found.positions.tolist(), strict=True)), found


def test_token_spans_are_ranges(llama):
    lengths = [len(ids) for ids in llama.encode(PROMPTS)]
    spans = [
        TokenSpan(0, 2),
        [TokenSpan(-1)],
        TokenSpan(1, 3),
        [0, TokenSpan(-3, -1), -1],
        [],
        TokenSpan(4),
        [1],
    ]
    places, found = captured_at(llama, PROMPTS, spans)
    assert places == [
        *[(0, 0), (0, 1), (1, lengths[1] - 1), (2, 1), (2, 2)],
        *[(3, 0), (3, lengths[3] - 3), (3, lengths[3] - 2), (3, lengths[3] - 1)],
        *[(5, i) for i in range(4, lengths[5])],
        (6, 1),
    ]
    everything, whole = captured_at(llama, PROMPTS, "all")
    index = [everything.index(place) for place in places]
    torch.testing.assert_close(found.activations, whole.activations[:, index], atol=1e-5, rtol=1e-5)


@given(spaced_words, st.data())
def test_text_spans_of_words(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    words = [(match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    wanted = [i + 1 for i, (s, e) in enumerate(words) if s < end and e > start]  # <bos> is token 0
    assert tokens_holding(locate(WORD, text), TextSpan(start, end)) == wanted


@given(st.text("Q:A 34+=?\n\té日💡the ", min_size=1, max_size=30), st.data())
def test_text_spans_of_pieces(text, data):
    """By hand: a byte-level token is written with one character a byte, so bytes say what it holds."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    character = [i for i, c in enumerate(text) for _ in c.encode()]
    ids = BYTE.encode([text])[0]
    wanted, byte = [], 0
    for place, token in enumerate(BYTE.tokenizer.convert_ids_to_tokens(ids)):
        covered = character[byte : byte + len(token)]
        byte += len(token)
        solid = [i for i in covered if not text[i].isspace()]
        held = range(solid[0], solid[-1] + 1) if solid else covered
        if any(start <= i < end for i in held):
            wanted.append(place)
    assert tokens_holding(locate(BYTE, text), TextSpan(start, end)) == wanted


@settings(max_examples=15)
@given(
    prompts=st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=9), min_size=1, max_size=5),
    data=st.data(),
)
def test_spans_in_batches_equal_spans_alone(checkpoints, prompts, data):
    checkpoint = checkpoints["qwen2"]
    texts = [" ".join(words) for words in prompts]
    spans = []
    for words in prompts:
        first = data.draw(st.integers(0, len(words) - 1))
        last = data.draw(st.integers(first, len(words) - 1))
        spans.append((first, last, TextSpan(2 * first, 2 * last + 1)))
    found = capture(checkpoint, texts, [POINT], [span for _, _, span in spans], batch_tokens=24)
    alone = [
        capture(checkpoint, [text], [POINT], "all").activations[:, first + 1 : last + 2]
        for text, (first, last, _) in zip(texts, spans, strict=True)
    ]
    torch.testing.assert_close(found.activations, torch.cat(alone, dim=1), atol=1e-5, rtol=1e-5)


def test_special_tokens_in_and_around_the_text():
    # <bos> is put before the text; <eos> is written in it, and is then a token of the text like any other.
    text = "a = 3 ; <eos> b"
    located = locate(WORD, text)
    words = WORD.tokenizer.convert_ids_to_tokens(located.ids)
    assert words == ["<bos>", "a", "=", "3", ";", "<eos>", "b"]
    assert tokens_holding(located, TextSpan.find(text, "<eos>")) == [5]
    assert tokens_holding(located, TextSpan(0, len(text))) == [1, 2, 3, 4, 5, 6]
    assert located.ids == WORD.encode([text])[0]


def test_a_tokenizer_that_closes_texts_changes_no_span():
    closing = word_tokenizer()
    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> <bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    checkpoint = checkpoint_with(closing)
    text = "a = 3"
    assert locate(checkpoint, text).ids == checkpoint.encode([text])[0]
    assert tokens_holding(locate(checkpoint, text), TextSpan.find(text, "3")) == [4]


@pytest.mark.parametrize(
    ("positions", "says"),
    [
        ([TextSpan(1, 2), [0]], "prompt 0: no token holds any of its characters 1 to 2"),
        ([TokenSpan(0, 9), [0]], "prompt 0 has 4 tokens: there is no span from 0 to 9"),
        ([[0], TokenSpan(2, 2)], "prompt 1 has 2 tokens: there is no span from 2 to 2"),
        ([[0], TextSpan(3, 9)], "prompt 1: no token holds any of its characters 3 to 9"),
        ([0, 1], "prompt 0: expected a list of places or a span, got the number 0"),
        ("first", "positions must be 'last', 'all', or"),
    ],
)
def test_places_that_are_not_there(llama, positions, says):
    with signatures_unchecked(), pytest.raises(UserError, match=says):
        capture(llama, ["a = 3", "so"], [POINT], positions)


def test_a_text_span_needs_a_text(llama):
    with pytest.raises(UserError, match="prompt 1 is given as token ids: a TextSpan needs its text"):
        capture(llama, [[1, 5], [1, 6]], [POINT], [[0], TextSpan(0, 1)])


def test_finding_what_is_not_there():
    assert TextSpan.find("a = 3 ; b", "3 ;") == TextSpan(4, 7)
    for part in ("c", ""):
        with pytest.raises(UserError, match="is not in 'a = 3'"):
            TextSpan.find("a = 3", part)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_kept_has_the_type_asked_for(llama, dtype):
    whole = capture(llama, PROMPTS, [POINT], "all")
    found = capture(llama, PROMPTS, [POINT], "all", dtype=dtype)
    assert found[POINT].dtype == dtype
    assert torch.equal(found[POINT], whole[POINT].to(dtype))
