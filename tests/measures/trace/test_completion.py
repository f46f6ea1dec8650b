"""Partial-prompt completion: what is given, what counts as completed, and what fits other problems."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trails_task import toy
from undertext.measures.trace import completion
from undertext.measures.trace.completion import MOST_WORDS, completed, first_part

TEXTS = ["a b c d e", "b c d e f", "c d e d e", "a", "so so so so so so so so"]


def test_the_first_part_by_hand():
    assert first_part("b = 2 ; find a :") == ("b = 2 ;", ("find", "a", ":"))
    assert first_part("one  two\nthree four five") == ("one  two\nthree", ("four", "five"))
    assert first_part("one two") == ("one", ("two",))
    assert first_part("one") is first_part("") is first_part("  ") is None


@given(st.text(max_size=200))
def test_parts_are_the_words_in_their_order(text):
    parts, words = first_part(text), text.split()
    if parts is None:
        assert len(words) < 2
    else:
        head, rest = parts
        assert text.startswith(head)
        assert [*head.split(), *rest] == words[: len(head.split()) + MOST_WORDS]
        assert len(head.split()) == int(0.6 * len(words))


class Written:
    """Stands for what a checkpoint writes after each prompt."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.asked: list[Any] = []

    def __call__(self, checkpoint: Any, prompts: Any, **options: Any) -> "Written":
        self.asked += [checkpoint.decode(prompt) for prompt in prompts]
        return self


def test_a_rest_counts_where_its_words_come_first(monkeypatch):
    wrote = Written(["d e and so on", " f  g", "x d e", "so so so so"])
    monkeypatch.setattr(completion, "generate", wrote)
    found = completed(toy(), TEXTS)
    assert wrote.asked == ["a b c", "b c d", "c d e", "so so so so"]
    assert found.index == [0, 1, 2, 4]
    assert found.left_out == 1
    assert found.exact.tolist() == [True, False, False, True]
    # "d e" is the rest of the first text and of the third: whoever writes it completes one of three others.
    np.testing.assert_allclose(found.by_chance, [1 / 3, 0, 0, 0])


def test_a_checkpoint_goes_on_greedily_with_a_text():
    checkpoint = toy()
    head = "a b c"
    ids = checkpoint.encode([head])[0]
    own = checkpoint.model.generate(  # type: ignore[operator]  # transformers types it as a tensor
        checkpoint.model.dummy_inputs["input_ids"].new_tensor([ids]), max_new_tokens=2, do_sample=False
    )
    rest = checkpoint.decode(own[0, len(ids) :].tolist())
    assert completed(checkpoint, [f"{head} {rest}"]).exact.tolist() == [True]
    assert completed(checkpoint, [f"{head} {rest.split()[0]} find"]).exact.tolist() == [False]


@pytest.mark.parametrize(("n_ctx", "left_out"), [(64, 1), (24, 2), (4, 2)])
def test_long_texts_are_left_out_and_counted(n_ctx, left_out):
    texts = ["a b c d e " * 4, "a " * 400]
    found = completed(toy(n_ctx=n_ctx), texts)
    assert found.left_out == left_out
    assert len(found.index) == 2 - left_out


def test_nothing_to_complete():
    found = completed(toy(), ["a", ""])
    assert (found.index, found.exact.tolist(), found.left_out) == ([], [], 2)
