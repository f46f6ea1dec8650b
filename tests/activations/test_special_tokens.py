"""Special tokens that a text holds, that a tokenizer puts around it, and that a model writes."""

import copy
import re

import pytest
import torch
from tokenizers import processors

from tests.toys import WORDS, embedding, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, Intervention, generate
from undertext.activations.spans import locate

TEMPLATES = {
    "before": "<bos> $A",
    "around": "<bos> $A <eos>",
    "two before": "<pad> <bos> $A",
    "nothing": "$A",
}
TURN = "<bos> <turn> a = 3 <end>"


def templated(single):
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>", "<end>"]})
    ids = {"<pad>": 0, "<bos>": 1, "<eos>": 2}
    special = [(word, ids[word]) for word in single.split() if word in ids]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=special
    )
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %} <turn> {{ m['content'] }} <end>{% endfor %}"
    )
    return tokenizer


@pytest.fixture(params=list(TEMPLATES))
def kind(request):
    return request.param


@pytest.fixture
def checkpoint(kind):
    tokenizer = templated(TEMPLATES[kind])
    return Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)


def test_a_rendered_chat_is_encoded_as_the_template_encodes_it(checkpoint, kind):
    if kind == "two before":
        checkpoint.tokenizer.chat_template = "<pad> " + checkpoint.tokenizer.chat_template
    messages = [{"role": "user", "content": "a = 3"}]
    text = checkpoint.tokenizer.apply_chat_template(messages, tokenize=False)
    expected = checkpoint.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    assert checkpoint.encode([text]) == [expected]
    located = locate(checkpoint, text)
    assert located.ids == expected
    assert all(located.own)
    assert [text[start:end] for start, end in located.spans] == text.split()


@pytest.mark.parametrize(
    "text", ["a = 3", "a <bos> = 3", "a = 3 <eos>", "<eos>", "<turn> a <end>", "<bos>", ""]
)
def test_what_stands_around_a_text_stands_there_once(checkpoint, kind, text):
    words = {word: checkpoint.tokenizer.convert_tokens_to_ids(word) for word in text.split()}
    before = [{"<pad>": 0, "<bos>": 1}[word] for word in TEMPLATES[kind].split("$A")[0].split()]
    own = [words[word] for word in text.split()]
    expected = own if before and own[: len(before)] == before else [*before, *own]
    if expected:
        assert checkpoint.encode([text]) == [expected]
    located = locate(checkpoint, text)
    assert located.ids == expected
    assert located.own == [False] * (len(expected) - len(own)) + [True] * len(own)


def test_text_comes_back_with_its_special_tokens(checkpoint):
    for text in ("a = 3", "a <bos> = 3", "<turn> a <end> <eos>", "a <pad>"):
        assert checkpoint.decode(checkpoint.encode([text])[0]) == text
    written = [1, *checkpoint.tokenizer.encode("a <bos>", add_special_tokens=False)]
    assert checkpoint.decode(written, start=False) == "<bos> a <bos>"


@pytest.fixture
def walker():
    """A model that writes, after each token, the one that is next in its vocabulary."""
    tokenizer = templated("$A")
    model = tiny_model("llama", len(tokenizer), d_model=64)
    d_vocab = len(tokenizer)
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter.zero_()
        model.model.norm.weight.fill_(1.0)
        embedding(model).copy_(torch.eye(d_vocab, 64))
        model.lm_head.weight.copy_(torch.eye(d_vocab, 64).roll(1, 0))
    return Checkpoint.load(model, tokenizer=tokenizer)


def test_special_tokens_that_a_model_writes_are_in_its_text(walker):
    start = [" ".join(WORDS[-3:-2])]
    found = generate(walker, start, max_new_tokens=5)
    assert found.texts == ["so answer <turn> <end> <pad>"]
    assert found.texts[0] == walker.tokenizer.decode(found.tokens[0])
    # The end token that ended it is not.
    ended = generate(walker, start, max_new_tokens=9)
    assert ended.texts == ["so answer <turn> <end> <pad> <bos>"]
    assert ended.produced == [7]


@pytest.mark.parametrize("stop", ["<end>", "<turn>", "<bos>", "answer <turn>", "n>"])
def test_a_stop_string_may_be_a_special_token(walker, stop):
    whole = "so answer <turn> <end> <pad> <bos>"
    found = generate(walker, [WORDS[-3]], max_new_tokens=9, stop=[stop])
    assert found.texts == [whole[: whole.index(stop)]]
    assert stop not in walker.tokenizer.decode(found.tokens[0])


def test_a_stop_string_may_be_the_first_token(walker):
    assert generate(walker, ["<pad>"], max_new_tokens=3, stop=["<bos>"]).texts == [""]


@pytest.mark.parametrize("pattern", ["<end>", "<turn>", r"<turn> <end>", r"^find so answer <turn>", "<bos>"])
def test_a_pattern_sees_special_tokens(walker, pattern):
    point = HookPoint(0, "resid_post")
    nothing = torch.zeros(64)
    nothing[0] = 1e-9
    acting = Intervention(point, nothing, 1.0, "generated", pattern=pattern)
    found = generate(walker, [WORDS[-3]], max_new_tokens=9, interventions=[acting])
    # The last token is never read back in.
    texts = [" ".join(["find so answer <turn> <end> <pad> <bos>"][0].split()[:n]) for n in range(2, 8)]
    assert found.touched == [sum(re.search(rf"(?:{pattern})\Z", text) is not None for text in texts)] == [1]


def test_a_pattern_does_not_see_what_the_tokenizer_put_before_the_prompt():
    tokenizer = templated("<bos> $A")
    checkpoint = Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=copy.deepcopy(tokenizer))
    acting = Intervention(HookPoint(0, "resid_post"), torch.ones(32), 1e-9, "prompt", pattern=r"^a =")
    assert generate(checkpoint, ["a = 3"], max_new_tokens=1, interventions=[acting]).touched == [1]
