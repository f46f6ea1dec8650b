"""Side effects of a setting: on what text they are read, and what comes out."""

from dataclasses import replace

import pytest
import torch

from tests.made_up_task import WEAKER, task_of
from tests.toys import byte_tokenizer, tiny_model
from undertext.activations import Checkpoint, UserError
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.side_effects import SENTENCES, SideText, side_effects, side_text
from undertext.steering import Gate, Setting, SteeringVector

VECTOR = SteeringVector(
    "meant", torch.randn(3, 32, generator=torch.Generator().manual_seed(0)), torch.ones(3), ""
)
TEXT = SideText("made up", ("a = 3 ; find a : so so", "b = 4"))


def test_text_is_the_configs_else_sentences_else_prompts():
    task = task_of()
    given = side_text(WEAKER, task, SearchConfig(side_texts=("a = 3",)))
    assert given == SideText("text of the config", ("a = 3",))
    assert side_text(WEAKER, task, SearchConfig()).source == "prompts of train"  # no such words
    tokenizer = byte_tokenizer(SENTENCES)
    reads = Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)
    found = side_text(reads, task, SearchConfig())
    assert found.source == "plain sentences"
    assert set(found.texts) <= set(SENTENCES)


def test_text_without_a_token_to_predict_is_refused():
    tokenizer = byte_tokenizer()
    reads = Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)
    with pytest.raises(UserError, match="two tokens or more, got \\['x'\\]"):
        side_text(reads, task_of(), SearchConfig(side_texts=("longer text", "x")))


def test_perplexities_and_divergence_are_means_over_all_tokens():
    setting = Setting("meant", (1,), 4.0, Gate("all"))
    found = side_effects(WEAKER, TEXT, setting, [VECTOR])
    assert found is not None
    losses = []
    for ids in WEAKER.encode(TEXT.texts):
        start = len(ids) // 2
        logits = WEAKER.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        losses += [-float(logits[i - 1, ids[i]].detach()) for i in range(start, len(ids))]
    assert found.tokens == len(losses)
    assert found.touched == sum(map(len, WEAKER.encode(TEXT.texts)))
    assert found.perplexity == pytest.approx(float(torch.tensor(losses).mean().exp()), rel=1e-4)
    assert found.divergence > 0.01
    assert found.perplexity_steered != pytest.approx(found.perplexity)


def test_a_position_that_half_a_text_does_not_have_leaves_it_out():
    lengths = [len(ids) for ids in WEAKER.encode(TEXT.texts)]
    assert lengths[1] // 2 < 3 <= lengths[0] // 2
    found = side_effects(WEAKER, TEXT, Setting("meant", (1,), 4.0, Gate((-3,))), [VECTOR])
    assert found is not None
    assert (found.touched, found.tokens) == (1, lengths[0] - lengths[0] // 2)
    assert side_effects(WEAKER, TEXT, Setting("meant", (1,), 4.0, Gate((-30,))), [VECTOR]) is None


def test_text_that_is_no_prompt_is_read_as_ever_by_a_checkpoint_that_is_asked_by_chat():
    """Rendered prompts hold their special tokens; plain text has none, and is read after <bos>."""
    setting, chat = Setting("meant", (1,), 4.0, Gate("all")), replace(WEAKER, special_tokens=False)
    assert chat.encode(TEXT.texts) != WEAKER.encode(TEXT.texts)
    assert side_effects(chat, TEXT, setting, [VECTOR]) == side_effects(WEAKER, TEXT, setting, [VECTOR])
    asked = replace(TEXT, prompts=True)
    assert side_effects(chat, asked, setting, [VECTOR]) != side_effects(WEAKER, asked, setting, [VECTOR])
