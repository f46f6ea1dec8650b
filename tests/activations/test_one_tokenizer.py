"""A tokenizer that is the same is not held against itself; one that reads a text otherwise is told apart."""

import pytest

import undertext.activations.pair
from tests.toys import byte_tokenizer, word_tokenizer
from undertext.activations.pair import tokenizer_difference

TEXT = "one <bos> two"


@pytest.mark.parametrize("made", [word_tokenizer, byte_tokenizer])
def test_one_tokenizer_is_asked_nothing(made, monkeypatch):
    monkeypatch.setattr(undertext.activations.pair, "try_encode", lambda *_: pytest.fail("it was asked"))
    assert tokenizer_difference(made(), made(), [TEXT]) is None


def test_special_tokens_that_one_alone_splits_in_a_text_are_a_difference():
    """What is written of a tokenizer is the same for both; only an attribute differs."""
    base, tuned = byte_tokenizer(), byte_tokenizer()
    tuned.split_special_tokens = True
    assert base.backend_tokenizer.to_str() == tuned.backend_tokenizer.to_str()
    assert base.encode(TEXT) != tuned.encode(TEXT)
    assert "is encoded differently from token" in str(tokenizer_difference(base, tuned, [TEXT]))
