"""Branches at places in a text: which tokens are read there, and which are scored."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.toys import SPECIAL, byte_tokenizer, tiny_model, word_tokenizer
from undertext.activations import Branch, Checkpoint, UserError, branches_at, score_branches


def spaced_tokenizer() -> PreTrainedTokenizerFast:
    """Pieces of words, a text beginning as if after a space, as Llama 2 has it."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=120, special_tokens=list(SPECIAL.values()), initial_alphabet=list("Q:A 34+=?\n712x▁"),
        show_progress=False,
    )  # fmt: skip
    raw.train_from_iterator(["Q: 3 + 4 = ?\nA: 7\n", "x = 12 = 34"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, **SPECIAL)


def checkpoint_with(tokenizer: PreTrainedTokenizerFast) -> Checkpoint:
    return Checkpoint.load(tiny_model("llama", len(tokenizer), n_layers=1, n_ctx=256), tokenizer=tokenizer)


WORD, BYTE, SPACED = map(checkpoint_with, (word_tokenizer(), byte_tokenizer(), spaced_tokenizer()))
characters = "Q:A 34+=?\n712x"


def text_of(trunk: list[int], branch: Branch) -> list[int]:
    return [*trunk[: branch.at], *branch.tokens]


def ids_of(words: list[str]) -> list[int]:
    ids = WORD.tokenizer.convert_tokens_to_ids(words)
    assert isinstance(ids, list)
    return ids


@pytest.mark.parametrize("checkpoint", [BYTE, SPACED], ids=["byte", "spaced"])
@given(st.text(characters, min_size=1, max_size=30), st.text(characters, min_size=1, max_size=8), st.data())
def test_in_context_reads_what_the_whole_text_would_be(checkpoint, text, continuation, data):
    offset = data.draw(st.integers(0, len(text)))
    (trunk,) = checkpoint.encode([text])
    (whole,) = checkpoint.encode([text[:offset] + continuation])
    tokens = checkpoint.tokenizer.convert_ids_to_tokens(whole)
    # A text begins as after a space unless it begins with one: that space stands at its first character.
    added = len("".join(tokens)) - len(text[:offset] + continuation)
    assert added == (checkpoint is SPACED and (text[:offset] + continuation)[0] != " ")
    ends = [max(1, len("".join(tokens[: i + 1])) - added) for i in range(len(tokens))]
    n_read = sum(end <= offset for end in ends)
    if n_read == 0:
        with pytest.raises(UserError, match="no token that ends by"):
            branches_at(checkpoint, text, [offset], continuation)
        return
    (branch,) = branches_at(checkpoint, text, [offset], continuation)
    assert text_of(trunk, branch) == whole
    assert branch.at + branch.given == n_read
    scores = score_branches(checkpoint, [text], [[branch]])
    with torch.no_grad():
        logits = checkpoint.model(input_ids=torch.tensor([whole])).logits[0]
    values = logits.log_softmax(dim=-1)
    expected = sum(values[i - 1, whole[i]] for i in range(n_read, len(whole)))
    torch.testing.assert_close(scores.sums[0], expected, rtol=0, atol=1e-4)


def test_a_gold_answer_after_each_step():
    text = "a = 3 ; b = a + 2 ; find b :"
    steps = [text.index(";") + 1, text.rindex(";") + 1, len(text)]
    (trunk,) = WORD.encode([text])
    found = branches_at(WORD, text, steps, " answer 5")
    answer = ids_of(["answer", "5"])
    assert found == [Branch(5, answer), Branch(11, answer), Branch(14, answer)]
    assert trunk[0] == WORD.tokenizer.bos_token_id, "the tokenizer puts nothing before a text"


def test_the_begin_token_alone_can_stand_before():
    for tokenized in ("in context", "alone"):
        (found,) = branches_at(WORD, "a = 3", [0], "b", tokenized=tokenized)
        assert found == Branch(1, ids_of(["b"]))


def test_inside_a_token_of_the_text():
    """The text has one token where the branch leaves it: what stands before is read anew, and not scored."""
    text = "the answer is"
    (trunk,) = BYTE.encode([text])
    offset = text.index("swer")
    (branch,) = branches_at(BYTE, text, [offset], "7")
    assert BYTE.decode(text_of(trunk, branch)) == "the an7"
    assert BYTE.decode(branch.tokens[branch.given :]) == "7"
    assert branch.given > 0, "the text has a token boundary there"


def test_alone_is_the_same_everywhere_and_not_what_stands_in_a_text():
    text = "x=12=34"
    offsets = [text.index("=") + 1, text.rindex("=") + 1]
    alone = branches_at(SPACED, text, offsets, "7", tokenized="alone")
    inside = branches_at(SPACED, text, offsets, "7")
    scored = [branch.tokens[branch.given :] for branch in alone]
    assert scored[0] == scored[1] == SPACED.tokenizer("7", add_special_tokens=False)["input_ids"]
    assert "▁" in SPACED.tokenizer.convert_ids_to_tokens(list(scored[0]))[0]
    assert SPACED.tokenizer.convert_ids_to_tokens(list(inside[0].tokens[inside[0].given :])) == ["7"]


def test_an_end_token_in_the_continuation_is_scored():
    (found,) = branches_at(WORD, "a = 3", [5], " ; <eos>")
    assert found.tokens[-1] == WORD.tokenizer.eos_token_id


@pytest.mark.parametrize("tokenized", ["in context", "alone"])
def test_refused(tokenized):
    with pytest.raises(UserError, match="expected offsets from 0 to 5, the characters of the text, got 6"):
        branches_at(WORD, "a = 3", [2, 6], "b", tokenized=tokenized)
    with pytest.raises(UserError, match="the continuation '  ' has no tokens"):
        branches_at(WORD, "a = 3", [3], "  ", tokenized=tokenized)
    with pytest.raises(UserError, match="no token that ends by character 0 of 'a = 3'"):
        branches_at(BYTE, "a = 3", [0], "b", tokenized=tokenized)
