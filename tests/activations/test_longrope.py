"""Ropes whose frequencies change with the length of the text: each row is as it would be alone."""

import pytest
import torch
from transformers import Phi3Config

from tests.toys import WORDS, random_model, word_tokenizer
from undertext.activations import (
    Branch,
    Checkpoint,
    HookPoint,
    Intervention,
    RecordSpec,
    capture,
    forward_texts,
    generate,
    next_tokens,
    score_branches,
)

SWITCH = 16
POINT = HookPoint(1, "resid_post")


@pytest.fixture(scope="module")
def phi():
    tokenizer = word_tokenizer()
    config = Phi3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        original_max_position_embeddings=SWITCH,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0] * 4,
            "long_factor": [4.0, 5.0, 6.0, 7.0],
            "original_max_position_embeddings": SWITCH,
        },
    )
    model = random_model(config)
    model.generation_config.eos_token_id = None
    tokenizer.eos_token = None
    return Checkpoint.load(model, tokenizer=tokenizer)


def texts(*lengths):
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(4, 4 + len(WORDS), (n,), generator=generator).tolist() for n in lengths]


def alone(phi, ids):
    with torch.no_grad():
        return phi.model(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True)


MIXED = texts(5, 40, SWITCH, SWITCH + 1, 12, 30)


def test_the_switch_matters(phi):
    ids = MIXED[1]
    short = alone(phi, ids[:SWITCH]).logits[0, 10]
    assert not torch.allclose(short, alone(phi, ids[: SWITCH + 1]).logits[0, 10], atol=1e-2)


def test_what_is_captured_does_not_depend_on_the_batch(phi):
    found = capture(phi, MIXED, [POINT], "all")
    for row, ids in enumerate(MIXED):
        inner: dict[str, torch.Tensor] = {}
        handle = phi.model.model.layers[1].register_forward_hook(
            lambda m, a, out, inner=inner: inner.update(o=out)
        )
        alone(phi, ids)
        handle.remove()
        torch.testing.assert_close(found[POINT][found.rows == row], inner["o"][0], atol=1e-5, rtol=1e-5)


def test_next_tokens_and_texts_do_not_depend_on_the_batch(phi):
    found = next_tokens(phi, MIXED, 3)
    read = forward_texts(phi, MIXED, [Intervention(POINT, torch.ones(32), 0.0, "all")] * len(MIXED))
    for row, ids in enumerate(MIXED):
        logits = alone(phi, ids).logits[0]
        expected = logits[-1].log_softmax(dim=-1).topk(3)
        assert found.ids[row].tolist() == expected.indices.tolist()
        torch.testing.assert_close(found.log_probs[row], expected.values, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(read.logits[row, : len(ids)], logits, atol=1e-4, rtol=1e-4)
    assert [touched.all for touched in read.touched] == [len(ids) for ids in MIXED]


def written(phi, ids, steps):
    """Each token from the whole text read anew, without a cache."""
    ids = list(ids)
    for _ in range(steps):
        ids.append(int(alone(phi, ids).logits[0, -1].argmax()))
    return ids


def test_what_is_written_does_not_depend_on_batch_or_cache(phi):
    # Some stay short, some are long, some cross while they are written, two of them together.
    prompts = [*MIXED, *texts(10, 12, 14, SWITCH - 1)]
    found = generate(phi, prompts, max_new_tokens=9)
    for prompt, tokens in zip(prompts, found.tokens, strict=True):
        assert [*prompt, *tokens] == written(phi, prompt, 9)


def test_rows_that_share_a_prompt_read_it_on_its_own_side(phi):
    (prompt,) = texts(SWITCH + 1)
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(3))
    rows = [None, *(Intervention(POINT, vector, 3.0) for vector in vectors)]
    together = generate(phi, [prompt] * 4, max_new_tokens=5, interventions=rows)
    for row, tokens in zip(rows, together.tokens, strict=True):
        assert generate(phi, [prompt], max_new_tokens=5, interventions=[row]).tokens == [tokens]
    assert [*prompt, *together.tokens[0]] == written(phi, prompt, 5)


def test_rows_that_end_before_the_switch(phi):
    (prompt,) = texts(12)
    whole = written(phi, prompt, 12)[12:]
    # All but one of the rows end at their first token, and leave the batch before the others cross.
    openings = [whole[0], *[token for token in range(4, 8) if token != whole[0]]]
    stop = [phi.decode([token], start=False) for token in openings[1:]]
    kept = [i for i, token in enumerate(whole) if token in openings[1:]]
    found = generate(phi, [prompt] * len(openings), max_new_tokens=12, openings=openings, stop=stop)
    assert found.tokens[0] == whole[: kept[0] if kept else 12]
    for first in openings[1:3]:
        (single,) = generate(phi, [prompt], max_new_tokens=12, openings=[first]).tokens
        assert single == written(phi, [*prompt, first], 11)[12:]


def test_interventions_act_and_are_counted_once_across_the_switch(phi):
    (prompt,) = texts(12)
    vector = torch.randn(32, generator=torch.Generator().manual_seed(2))
    acting = Intervention(POINT, vector, 2.0, "all", decay=0.9)
    found = generate(
        phi, [prompt], max_new_tokens=9, interventions=[acting], record=RecordSpec([POINT], "all")
    )
    assert found.touched == [12 + 8]
    assert found.captured is not None
    assert found.captured.positions.tolist() == list(range(20))
    ids = list(prompt)
    for _ in range(9):

        def act(module, args, output):
            times = (torch.arange(output.shape[1]) - 12).clamp(min=0)
            return output + 2.0 * 0.9 ** times[:, None] * vector

        handle = phi.model.model.layers[1].register_forward_hook(act)
        ids.append(int(alone(phi, ids).logits[0, -1].argmax()))
        handle.remove()
    assert found.tokens[0] == ids[12:]


def test_branches_are_scored_as_texts_of_their_own(phi):
    (trunk,) = texts(SWITCH + 4)
    branches = [Branch(at, tokens) for at in (3, SWITCH - 2, SWITCH, SWITCH + 2) for tokens in texts(1, 2, 3)]
    found = score_branches(phi, [trunk], [branches])
    for branch, total in zip(branches, found.sums, strict=True):
        ids = [*trunk[: branch.at], *branch.tokens]
        log_probs = alone(phi, ids[:-1]).logits[0].log_softmax(dim=-1)
        expected = sum(log_probs[i - 1, ids[i]] for i in range(branch.at, len(ids)))
        assert float(total) == pytest.approx(float(expected), abs=1e-4)
