"""Given text under interventions: against one text at a time with plain hooks, and against generation."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from tests.activations.made_interventions import hooks_on, intervention, vector
from tests.activations.reference import PROMPTS, read, write_out
from tests.toys import SHAPES
from undertext.activations import Threshold, UserError, forward_texts, generate
from undertext.activations.operators import OPERATORS
from undertext.activations.steered_rows import SteeredRows

GATES: dict[str, dict[str, Any]] = {
    "last prompt": {"at": "last_prompt"},
    "prompt": {"at": "prompt"},
    "generated": {"at": "generated"},
    "all": {"at": "all"},
    "indices": {"at": (0, -1)},
    "first": {"at": "generated", "first": 2},
    "decay": {"at": "all", "decay": 0.5},
    "tokens": {"at": "all", "tokens": frozenset(range(0, 36, 2))},
    "pattern": {"at": "all", "pattern": r"[a-h=] ?"},
    "threshold": {"at": "all", "threshold": Threshold(vector(77), 0.5)},
}


def check(checkpoint, texts, heads, acting):
    """A batch equals each of its texts read alone, hook by plain hook."""
    found = forward_texts(checkpoint, texts, acting, heads=heads)
    for row, (ids, head, those) in enumerate(zip(texts, heads, acting, strict=True)):
        logits, changed = read(checkpoint, ids, head, *those)
        assert_close(found.logits[row, : len(ids)], logits, atol=2e-4, rtol=1e-3)
        touched = found.touched[row]
        assert touched.before == sum(place < head - 1 for place in changed)
        assert touched.last == ((head - 1) in changed)
        assert touched.generated == sum(place >= head for place in changed)
        assert (touched.all, touched.choosing) == (len(changed), sum(place >= head - 1 for place in changed))
    return found


@pytest.mark.parametrize("gate", GATES)
def test_every_operator_at_every_gate(checkpoint, gate):
    texts = checkpoint.encode([PROMPTS[row % len(PROMPTS)] for row in range(len(OPERATORS) + 1)])
    heads = [1 + row % len(ids) for row, ids in enumerate(texts)]
    acting = [[intervention(name, row, **GATES[gate])] for row, name in enumerate(OPERATORS)]
    found = check(checkpoint, texts, heads, [*acting, []])
    if gate not in ("generated", "first"):  # which a text that is all prompt does not have
        assert sum(each.all for each in found.touched) > 0
    plain = forward_texts(checkpoint, texts).logits
    assert_close(found.logits[-1], plain[-1])
    assert (found.logits[:-1] - plain[:-1]).abs().max() > 0.1


@settings(max_examples=15)
@given(data=st.data(), shape=st.sampled_from(SHAPES))
def test_any_texts_under_any_interventions(checkpoints, data, shape):
    texts = data.draw(st.lists(st.lists(st.integers(3, 35), min_size=1, max_size=9), min_size=1, max_size=4))
    heads = [data.draw(st.integers(1, len(ids))) for ids in texts]
    acting = [
        [
            intervention(data.draw(st.sampled_from(list(OPERATORS))), 7 * row + i, **GATES[gate])
            for i, gate in enumerate(data.draw(st.lists(st.sampled_from(sorted(GATES)), max_size=2)))
            if gate != "indices"
        ]
        for row in range(len(texts))
    ]
    check(checkpoints[shape], texts, heads, acting)


@pytest.mark.parametrize("gate", GATES)
def test_what_was_written_under_interventions_is_likeliest_when_it_is_read_under_them(checkpoint, gate):
    prompts = checkpoint.encode([PROMPTS[row] for row in (0, 2, 3, 4, 5, 6)])
    acting = [[intervention(name, row, **GATES[gate])] for row, name in enumerate(OPERATORS)]
    out = generate(checkpoint, prompts, max_new_tokens=5, interventions=acting)
    texts = [prompt + tokens for prompt, tokens in zip(prompts, out.tokens, strict=True)]
    found = forward_texts(checkpoint, texts, acting, heads=list(map(len, prompts)))
    for row, (prompt, tokens) in enumerate(zip(prompts, out.tokens, strict=True)):
        said = found.logits[row, len(prompt) - 1 :].argmax(dim=-1)[: len(tokens)]
        assert said.tolist() == tokens
        # It counts the same tokens, and the last one besides, which generation never reads back.
        more = found.touched[row].all - out.touched[row]
        assert more == 0 if out.produced[row] > len(tokens) else more in (0, 1)
        assert found.touched[row].before + found.touched[row].last == out.touched_prompt[row]


@pytest.mark.parametrize("gate", GATES)
def test_generation_tells_prompt_tokens_from_generated_ones(checkpoint, gate):
    prompts = checkpoint.encode([PROMPTS[row] for row in (0, 2, 3, 4, 5, 6)])
    acting = [intervention(name, row, **GATES[gate]) for row, name in enumerate(OPERATORS)]
    out = generate(checkpoint, prompts, max_new_tokens=6, interventions=acting)
    for row, (prompt, each) in enumerate(zip(prompts, acting, strict=True)):
        alone = write_out(checkpoint, prompt, 6, each)
        assert (out.tokens[row], out.produced[row]) == (alone.tokens, alone.produced)
        assert out.touched[row] == len(alone.changed)
        assert out.touched_prompt[row] == sum(place < len(prompt) for place in alone.changed)
        # The pass over place p chooses the token at p + 1; that of the last one written was never made.
        assert out.steered[row] == sum(place + 1 >= len(prompt) for place in alone.changed)
        assert out.steered[row] <= out.produced[row]


def test_reading_leaves_no_hook_and_misses_none(llama, monkeypatch):
    texts = llama.encode(PROMPTS)
    acting = [intervention("add", row, at="all") for row in range(len(texts))]
    before = hooks_on(llama.model)
    forward_texts(llama, texts, acting)
    assert hooks_on(llama.model) == before
    monkeypatch.setattr(SteeredRows, "hooks", {})
    with pytest.raises(RuntimeError, match="acted at 0"):
        forward_texts(llama, texts, acting)


@pytest.mark.parametrize(
    ("texts", "options", "says"),
    [
        ([], {}, "expected texts to read, got none"),
        ([[3, 4]], {"heads": [3]}, "text 0 has 2 tokens, of which 3 cannot be its prompt"),
        ([[3, 4]], {"heads": [0]}, "of which 0 cannot be its prompt"),
        ([[3, 4]], {"heads": [1, 1]}, "a head for each of 1 texts, got 2"),
        ([[3] * 65], {}, "64"),
        ([[3], [4]], {"interventions": [None]}, "for each of 2 prompts, got 1"),
    ],
)
def test_what_cannot_be_read_is_refused(llama, texts, options, says):
    with pytest.raises(UserError, match=says):
        forward_texts(llama, texts, **options)
