"""Greedy generation in batches, against Hugging Face's `generate` on one prompt at a time."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, LlamaConfig, MistralConfig, OPTConfig

from tests.activations.reference import PROMPTS, telling_token
from tests.toys import SHAPES, byte_tokenizer, embedding, random_model, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError, generate
from undertext.activations.cache import BufferedCache
from undertext.activations.passes import Pool
from undertext.activations.quiet import quiet


def hugging_face(checkpoint: Checkpoint, ids: list[int], steps: int, **options) -> list[int]:
    """What transformers writes after one prompt, up to an end token."""
    model: Any = checkpoint.model
    with quiet():
        out = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids)),
            max_new_tokens=steps,
            do_sample=False,
            pad_token_id=0,
            **options,
        )
    tokens = out[0, len(ids) :].tolist()
    ends = checkpoint.model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return tokens[:-1] if tokens and tokens[-1] in ends else tokens


def test_tokens_equal_hugging_faces(checkpoint):
    expected = [hugging_face(checkpoint, ids, 20) for ids in checkpoint.encode(PROMPTS)]
    for batch_size in (1, 3, 256):
        found = generate(checkpoint, PROMPTS, max_new_tokens=20, batch_size=batch_size)
        assert found.tokens == expected
        assert found.touched == [0] * len(PROMPTS)
    assert len({tuple(row) for row in expected}) > 3  # rows that say the same would show little


def test_texts_are_the_tokens_decoded(checkpoint):
    found = generate(checkpoint, PROMPTS, max_new_tokens=6)
    assert found.texts == [checkpoint.decode(row) for row in found.tokens]


@settings(max_examples=10)
@given(
    prompts=st.lists(st.lists(st.integers(0, 35), min_size=1, max_size=14), min_size=1, max_size=5),
    batch_size=st.integers(1, 4),
    steps=st.integers(1, 12),
    shape=st.sampled_from(SHAPES),
)
def test_batches_and_padding_change_nothing(checkpoints, prompts, batch_size, steps, shape):
    checkpoint = checkpoints[shape]
    found = generate(checkpoint, prompts, max_new_tokens=steps, batch_size=batch_size)
    assert found.tokens == [hugging_face(checkpoint, ids, steps) for ids in prompts]


@pytest.fixture
def with_many_ends(checkpoint):
    """A checkpoint whose rows end at different steps, by a list of end tokens in its generation settings."""
    model = copy.deepcopy(checkpoint.model)
    written = generate(checkpoint, PROMPTS, max_new_tokens=20).tokens
    model.generation_config.eos_token_id = [2, telling_token(written)]
    return Checkpoint.load(model, tokenizer=checkpoint.tokenizer)


def test_rows_that_finish_leave_and_the_others_go_on(with_many_ends, monkeypatch):
    kept: list[int] = []
    close_up = BufferedCache.close_up

    def spy(cache: BufferedCache, gaps: list[int], movers: list[int], count: int) -> None:
        present: Any = cache.layers[0]
        if count < len(present.keys):
            kept.append(count)
        close_up(cache, gaps, movers, count)

    monkeypatch.setattr(BufferedCache, "close_up", spy)
    found = generate(with_many_ends, PROMPTS, max_new_tokens=20)
    expected = [hugging_face(with_many_ends, ids, 20) for ids in with_many_ends.encode(PROMPTS)]
    assert found.tokens == expected
    assert len({len(row) for row in expected}) > 1
    assert kept


def test_the_tokenizers_end_token_ends_a_row_too(checkpoint):
    tokenizer = word_tokenizer()
    first = generate(checkpoint, PROMPTS, max_new_tokens=4).tokens[0]
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(first[2])
    ended = generate(Checkpoint.load(checkpoint.model, tokenizer=tokenizer), PROMPTS[:1], max_new_tokens=4)
    assert ended.tokens == [first[: first.index(first[2])]]


def test_prompts_as_ids_and_as_texts_are_continued_alike(checkpoint):
    ids = checkpoint.encode(PROMPTS)
    assert generate(checkpoint, ids, max_new_tokens=5) == generate(checkpoint, PROMPTS, max_new_tokens=5)


def test_a_window_of_attention_is_kept_to():
    tokenizer = word_tokenizer()
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=4,
        eos_token_id=2,
    )
    model = random_model(config)
    checkpoint = Checkpoint.load(model, tokenizer=tokenizer)
    found = generate(checkpoint, PROMPTS, max_new_tokens=16)
    assert found.tokens == [hugging_face(checkpoint, ids, 16) for ids in checkpoint.encode(PROMPTS)]


def test_positions_that_a_model_counts_itself():
    tokenizer = word_tokenizer()
    config = OPTConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        word_embed_proj_dim=32,
        pad_token_id=0,
        eos_token_id=2,
    )
    checkpoint = Checkpoint.load(random_model(config), tokenizer=tokenizer)
    found = generate(checkpoint, PROMPTS, max_new_tokens=16)
    assert found.tokens == [hugging_face(checkpoint, ids, 16) for ids in checkpoint.encode(PROMPTS)]


def test_byte_level_texts(shape):
    tokenizer = byte_tokenizer()
    checkpoint = Checkpoint.load(tiny_model(shape, len(tokenizer)), tokenizer=tokenizer)
    prompts = ["Q: 3 + 4 = ?", "Let x", "The quick brown fox thinks"]
    found = generate(checkpoint, prompts, max_new_tokens=12)
    assert found.tokens == [hugging_face(checkpoint, ids, 12) for ids in checkpoint.encode(prompts)]


def test_the_cache_holds_what_transformers_own_holds(checkpoint):
    config = checkpoint.model.config
    ours: Any = BufferedCache(config, 3)
    theirs: Any = DynamicCache(config=config)
    ids = torch.tensor([[1, 5, 6, 7], [1, 8, 9, 4], [1, 7, 7, 7]])
    rows = torch.tensor([2, 0, 2])  # one leaves, one is there twice
    with torch.inference_mode():
        for step, part in enumerate((ids[:, :2], ids[:, 2:3], ids[rows, 3:])):
            if step == 2:
                ours.take_rows(rows, 9)
                theirs.reorder_cache(rows)
                torch.testing.assert_close(ours.layers[1].keys, theirs.layers[1].keys)
            logits = [
                checkpoint.model(input_ids=part, past_key_values=cache).logits for cache in (ours, theirs)
            ]
            torch.testing.assert_close(*logits)
            if step == 0:
                start = ours.layers[0].keys.data_ptr()
            if step == 1:
                assert ours.layers[0].keys.data_ptr() == start  # written in place
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        torch.testing.assert_close(mine.keys, other.keys)
        torch.testing.assert_close(mine.values, other.values)
    assert ours.get_seq_length() == theirs.get_seq_length() == 4


@settings(max_examples=30)
@given(here=st.lists(st.booleans(), min_size=1, max_size=6).filter(any), layers=st.integers(1, 2))
def test_rows_close_up_over_the_places_that_are_free(here, layers):
    config = LlamaConfig(num_hidden_layers=layers)
    cache, held = BufferedCache(config, 5), torch.randn(2, layers, len(here), 2, 4, 3)
    for layer in range(layers):
        cache.update(held[0, layer], held[1, layer], layer)
    cache.keep_last(3)
    pool = Pool([10 + slot for slot in range(len(here))], list(here), cache)
    pool.shrink()
    assert sorted(pool.rows) == [10 + slot for slot, there in enumerate(here) if there]
    assert all(pool.here)
    new = torch.randn(2, layers, len(pool.rows), 2, 1, 3)
    for layer in range(layers):
        shown = cache.update(new[0, layer], new[1, layer], layer)
        for kind, states in enumerate(shown):
            expected = held[kind, layer, [row - 10 for row in pool.rows], :, 1:]
            assert torch.equal(states, torch.cat([expected, new[kind, layer]], dim=2))


def test_progress_adds_up_to_the_rows(with_many_ends):
    seen: list[int] = []
    generate(with_many_ends, PROMPTS, max_new_tokens=20, batch_size=3, progress=seen.append)
    assert sum(seen) == len(PROMPTS)
    assert len(seen) > 3  # rows end one after another, not each batch at once


def test_no_prompts_give_no_texts(llama):
    found = generate(llama, [], max_new_tokens=3)
    assert (found.texts, found.tokens, found.touched) == ([], [], [])


@pytest.mark.parametrize("room", [1, 5])
def test_a_text_may_fill_the_context_and_no_more(checkpoint, room):
    prompt = ["a " * (63 - room)]  # and <bos>
    assert generate(checkpoint, prompt, max_new_tokens=room).texts
    with pytest.raises(
        UserError, match=f"64 tokens and {room} more|has {64 - room} tokens and {room + 1} more"
    ):
        generate(checkpoint, prompt, max_new_tokens=room + 1)


def test_nothing_to_write_is_refused(llama):
    with pytest.raises(UserError, match="max_new_tokens must be at least 1, a whole number, got 0"):
        generate(llama, PROMPTS, max_new_tokens=0)


def test_logits_that_are_no_numbers_name_the_prompt(shape):
    tokenizer = word_tokenizer()
    model = tiny_model(shape, len(tokenizer))
    with torch.no_grad():
        embedding(model)[tokenizer.convert_tokens_to_ids("so"), 4] = float("nan")
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.nan_to_num())
    checkpoint = Checkpoint.load(model, tokenizer=tokenizer)
    with pytest.raises(UserError, match="NaN in the logits of prompt 1"):
        generate(checkpoint, PROMPTS[:2], max_new_tokens=3)


def test_a_model_with_other_memory_than_keys_and_values_is_refused():
    config = LlamaConfig(num_hidden_layers=2)
    config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(UserError, match="this model has linear_attention"):
        BufferedCache(config, 4)
