"""From places in text to tokens, against counting words and bytes by hand."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import PreTrainedTokenizer

from tests.activations.texts import BYTE, WORD, checkpoint_with, spaced_words
from tests.toys import word_tokenizer
from undertext.activations import UserError
from undertext.activations.spans import tokens_before


@given(spaced_words, st.data())
def test_whole_words(text, data):
    offsets = data.draw(st.lists(st.integers(0, len(text)), max_size=5))
    ids, found = tokens_before(WORD, text, offsets)
    assert ids == WORD.encode([text])[0]
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    assert found == [sum(end <= offset for end in ends) for offset in offsets]  # <bos> is token 0


def ends_of_bytes(text: str, ids: list[int]) -> list[int]:
    """For each token, the end of its last character that is no whitespace (its start if it has none).

    A byte-level token is written with one character a byte; one byte of a character counts as all of it.
    """
    character = [i for i, c in enumerate(text) for _ in c.encode()]
    ends, byte = [], 0
    for token in BYTE.tokenizer.convert_ids_to_tokens(ids):
        covered = character[byte : byte + len(token)]
        byte += len(token)
        solid = [i + 1 for i in covered if not text[i].isspace()]
        ends.append(max(solid, default=covered[0]))
    assert byte == len(character)
    return ends


@given(st.text("Q:A 34+=?\n\té日💡the ", min_size=1, max_size=40), st.data())
def test_pieces_of_words_and_of_characters(text, data):
    offsets = data.draw(st.lists(st.integers(0, len(text)), max_size=5))
    ids = BYTE.encode([text])[0]
    ends = ends_of_bytes(text, ids)
    wanted = [[i for i, end in enumerate(ends) if end <= offset] for offset in offsets]
    if all(wanted):
        assert tokens_before(BYTE, text, offsets) == (ids, [before[-1] for before in wanted])
    else:
        with pytest.raises(UserError, match="no token that ends by character"):
            tokens_before(BYTE, text, offsets)


def test_a_value_is_read_before_it_is_said():
    text = "Q: 3 + 4 = ?\nA: 7\n"
    ids, (at,) = tokens_before(BYTE, text, [text.index("7")])
    assert BYTE.decode(ids[: at + 1]).rstrip() == "Q: 3 + 4 = ?\nA:"
    ids, (at,) = tokens_before(WORD, "a = 3 ; b = 5", [len("a = 3 ; b = ")])
    assert WORD.tokenizer.convert_ids_to_tokens(ids[at]) == "="


def test_an_end_token_after_the_text_is_no_place_to_read_at():
    closing = word_tokenizer()
    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    text = "a = 3 ; find a :"
    assert closing(text)["input_ids"][-1] == closing.eos_token_id, "the tokenizer does not end texts"
    ids, found = tokens_before(checkpoint_with(closing), text, [5, len(text)])
    assert (ids, found) == tokens_before(WORD, text, [5, len(text)])
    assert found == [3, 7]


class SlowTokenizer(PreTrainedTokenizer):
    """A tokenizer in Python, one token a character."""

    def __init__(self, **kwargs: Any) -> None:
        self.words = {"<unk>": 0, **{character: i + 1 for i, character in enumerate("abc =")}}
        super().__init__(unk_token="<unk>", **kwargs)

    @property
    def vocab_size(self) -> int:
        return len(self.words)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.words)

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.words.get(token, 0)

    def _convert_id_to_token(self, index: int) -> str:
        return list(self.words)[index]


def test_a_tokenizer_without_offsets_is_refused():
    with pytest.raises(UserError, match=r"need a fast tokenizer .* has SlowTokenizer"):
        tokens_before(replace(WORD, tokenizer=SlowTokenizer()), "a = b", [1])
