"""What is captured, against TransformerLens, Hugging Face, and one prompt at a time."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from tests.activations.reference import PROMPTS
from tests.toys import SHAPES, random_model, tiny_config, word_tokenizer
from undertext.activations import SITES, Checkpoint, HookPoint, UserError, capture

POINTS = [HookPoint(layer, site) for layer in range(3) for site in SITES]


def test_every_site_equals_what_a_bridge_caches(checkpoint):
    captured = capture(checkpoint, PROMPTS, POINTS, "all")
    bridge = checkpoint.bridge()
    for row, ids in enumerate(checkpoint.encode(PROMPTS)):
        _, cache = bridge.run_with_cache(torch.tensor([ids]))
        for point in POINTS:
            found = captured[point][captured.rows == row]
            # The bridge gives z as [row, position, head, d_head].
            assert_close(found, cache[str(point)][0].flatten(1), atol=1e-5, rtol=1e-5)


def test_the_stream_equals_hugging_faces_hidden_states(checkpoint):
    captured = capture(checkpoint, PROMPTS, POINTS, "all")
    for row, ids in enumerate(checkpoint.encode(PROMPTS)):
        with torch.no_grad():
            states = checkpoint.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        for layer in range(3):
            at = captured.rows == row
            assert_close(captured[HookPoint(layer, "resid_pre")][at], states[layer][0], atol=1e-5, rtol=1e-5)
            if layer < 2:  # the last hidden state is after the final norm
                post = captured[HookPoint(layer, "resid_post")][at]
                assert_close(post, states[layer + 1][0], atol=1e-5, rtol=1e-5)


def test_the_last_block_s_output_becomes_the_last_hidden_state(checkpoint):
    norm = getattr(checkpoint.model.base_model, "norm", None) or checkpoint.model.base_model.ln_f
    point = HookPoint(2, "resid_post")
    ids = checkpoint.encode(PROMPTS[:1])
    with torch.no_grad():
        expected = checkpoint.model.base_model(input_ids=torch.tensor(ids)).last_hidden_state[0]
        assert_close(norm(capture(checkpoint, ids, [point], "all")[point]), expected, atol=1e-5, rtol=1e-5)


def test_the_stream_is_the_sum_of_its_parts(checkpoint):
    captured = capture(checkpoint, PROMPTS, POINTS, "all")
    for layer in range(3):
        pre, mid, post, attn, mlp = (captured[HookPoint(layer, site)] for site in SITES[:5])
        assert_close(pre + attn, mid)
        assert_close(mid + mlp, post)


def test_texts_and_their_token_ids_give_the_same(checkpoint):
    texts = capture(checkpoint, PROMPTS, POINTS)
    ids = capture(checkpoint, checkpoint.encode(PROMPTS), POINTS)
    assert torch.equal(texts.activations, ids.activations)


def test_last_is_the_last_of_all(checkpoint):
    everything, last = (capture(checkpoint, PROMPTS, POINTS, which) for which in ("all", "last"))
    lengths = torch.tensor([len(ids) for ids in checkpoint.encode(PROMPTS)])
    assert last.rows.tolist() == list(range(len(PROMPTS)))
    assert last.positions.tolist() == (lengths - 1).tolist()
    assert torch.equal(last.activations, everything.activations[:, lengths.cumsum(0) - 1])


def test_rows_and_positions_keep_the_order_asked_for(checkpoint):
    asked = [[3, 0], [], [-1, 1, 1], [0], [5, -2], [2], [-3]]
    captured = capture(checkpoint, PROMPTS, POINTS, asked, batch_tokens=20)
    lengths = [len(ids) for ids in checkpoint.encode(PROMPTS)]
    assert captured.rows.tolist() == [row for row, indices in enumerate(asked) for _ in indices]
    expected = [index % length for indices, length in zip(asked, lengths, strict=True) for index in indices]
    assert captured.positions.tolist() == expected


prompts_and_positions = st.lists(
    st.lists(st.integers(0, 35), min_size=1, max_size=12).flatmap(
        lambda ids: st.tuples(st.just(ids), st.lists(st.integers(-len(ids), len(ids) - 1), max_size=4))
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=15)
@given(asked=prompts_and_positions, batch_tokens=st.integers(1, 40), shape=st.sampled_from(SHAPES))
def test_batches_change_nothing(checkpoints, asked, batch_tokens, shape):
    checkpoint = checkpoints[shape]
    points = [HookPoint(0, "attn_out"), HookPoint(2, "resid_mid")]
    prompts, positions = [list(ids) for ids, _ in asked], [list(indices) for _, indices in asked]
    captured = capture(checkpoint, prompts, points, positions, batch_tokens=batch_tokens)
    expected = []
    for ids, indices in asked:
        alone = capture(checkpoint, [ids], points, "all")
        expected.append(alone.activations[:, [index % len(ids) for index in indices]])
    assert_close(captured.activations, torch.cat(expected, dim=1), atol=1e-5, rtol=1e-5)


def test_repeating_gives_the_same_bits(checkpoint):
    first, second = (capture(checkpoint, PROMPTS, POINTS, "all").activations for _ in range(2))
    assert torch.equal(first, second)


def test_no_prompts_give_no_rows(llama):
    captured = capture(llama, [], POINTS)
    assert captured.activations.shape == (len(POINTS), 0, 32)


def test_what_is_captured_can_be_trained_on(llama):
    # Tensors made in inference mode cannot; these are ordinary ones.
    captured = capture(llama, PROMPTS, POINTS[:1])
    weight = torch.ones(32, requires_grad=True)
    (captured[POINTS[0]] @ weight).sum().backward()
    assert weight.grad is not None


def test_the_pass_ends_at_the_deepest_point(llama):
    ran = []
    handles = [
        block.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
        for layer, block in enumerate(llama.model.model.layers)
    ]
    capture(llama, PROMPTS, [HookPoint(0, "resid_pre"), HookPoint(1, "resid_pre")], batch_tokens=1000)
    for handle in handles:
        handle.remove()
    assert ran == [0]


def test_a_pass_that_ended_early_leaves_the_model_as_it_was(checkpoint):
    ids = torch.tensor(checkpoint.encode(PROMPTS[:1]))
    with torch.no_grad():
        before = checkpoint.model(input_ids=ids).logits
        capture(checkpoint, PROMPTS, [HookPoint(0, "attn_out")])
        assert torch.equal(checkpoint.model(input_ids=ids).logits, before)


def test_heads_beside_the_stream_where_they_are_wider_than_it():
    words = word_tokenizer()
    config = tiny_config("llama", len(words))
    config.head_dim = 12  # four heads of it are wider than the stream
    checkpoint = Checkpoint.load(random_model(config), tokenizer=words)
    stream, heads, later = HookPoint(1, "resid_post"), HookPoint(1, "z"), HookPoint(2, "z")
    captured = capture(checkpoint, PROMPTS, [heads, stream, later], "all")
    assert captured[stream].shape[1:] == (32,)
    assert captured[heads].shape[1:] == (48,)
    assert torch.equal(captured.heads(heads).reshape(-1, 48), captured[heads])
    model: Any = checkpoint.model
    for layer, point in ((1, heads), (2, later)):
        written = captured.heads(point).flatten(1) @ model.model.layers[layer].self_attn.o_proj.weight.T
        attn = capture(checkpoint, PROMPTS, [HookPoint(layer, "attn_out")], "all").activations[0]
        assert_close(written, attn, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match=r"different widths .*hook_z: 48, .*resid_post: 32"):
        _ = captured.activations
    with pytest.raises(UserError, match="only at the site z"):
        captured.heads(stream)
    both = capture(checkpoint, PROMPTS, [heads, later], "all").activations
    assert_close(both[1], captured[later], atol=1e-5, rtol=1e-5)
