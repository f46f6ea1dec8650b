"""LoRA adapters of each family: merged when read, unmerged when live, and merged by PEFT, all the same."""

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, get_peft_model
from torch.testing import assert_close

from tests.activations.families.by_hand import TEXTS, bare, distance, locate_values, passes
from undertext.activations import (
    SITES,
    Checkpoint,
    HookPoint,
    UserError,
    capture,
    check_pair,
    generate,
    load_pair,
)
from undertext.activations.hooks import check_point
from undertext.activations.quiet import quiet
from undertext.activations.random_init import random_init

STREAM = [HookPoint(layer, site) for layer in range(3) for site in ("resid_pre", "resid_post")]


def adapt(checkpoint: Checkpoint, **settings) -> PeftModel:
    """A LoRA adapter with random weights on every linear layer, around a copy of the model."""
    model = copy.deepcopy(checkpoint.model)
    conv = type(model).__name__.startswith("GPT2")
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(1)
        config = LoraConfig(r=4, target_modules="all-linear", fan_in_fan_out=conv, **settings)
        wrapped = get_peft_model(model, config)
        with torch.no_grad():
            for name, parameter in wrapped.named_parameters():
                if "lora_" in name:
                    parameter.normal_(std=0.1)
    return wrapped


@pytest.fixture
def wrapped(member):
    return adapt(member)


@pytest.fixture
def live(wrapped, member):
    return Checkpoint.load(wrapped, tokenizer=member.tokenizer)


@pytest.fixture
def merged(wrapped, member):
    """Merged by PEFT itself, and the base's folder knows nothing of it."""
    with quiet():
        return Checkpoint.load(copy.deepcopy(wrapped).merge_and_unload(), tokenizer=member.tokenizer)


@pytest.fixture
def read(wrapped, zoo, family, dtype, tmp_path):
    """Saved beside the base's folder, and read from there."""
    with quiet():
        wrapped.save_pretrained(tmp_path)
    return Checkpoint.load(tmp_path, dtype=dtype, tokenizer=zoo.load(family, dtype).tokenizer)


def test_live_read_and_merged_give_the_same_at_every_site(member, family, dtype, live, read, merged):
    ids = torch.tensor(member.encode(TEXTS[2:3]))
    points = locate_values(family)
    at_live, at_read, at_merged, at_base = (
        passes(checkpoint, ids, points)[0] for checkpoint in (live, read, merged, member)
    )
    close = {torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    for point in points:
        assert torch.equal(at_read[point], at_merged[point]), point
        off = distance(at_live[point], at_merged[point])
        if family == "mixtral" and dtype == torch.bfloat16:
            # Merging rounds the weights anew: where two experts nearly tie, a token may go to another one.
            off = float(torch.tensor(list(map(distance, at_live[point][0], at_merged[point][0]))).median())
        assert off < close, point
        if point != HookPoint(0, "resid_pre"):
            # The adapter is at work: it moves things far more than it matters how it was merged.
            assert distance(at_base[point], at_merged[point]) > 4 * close, point


def test_a_live_adapter_is_computed_as_peft_computes_it(wrapped, live, member):
    ids = torch.tensor(member.encode(TEXTS[2:3]))
    with torch.no_grad():
        expected = wrapped.eval()(input_ids=ids, output_hidden_states=True)
    assert torch.equal(bare(live, ids).logits, expected.logits)
    captured = capture(live, ids.tolist(), STREAM, "all")
    for layer in range(3):
        found = captured[HookPoint(layer, "resid_pre")].float()
        assert torch.equal(found, expected.hidden_states[layer][0].float())


def test_padded_batches_and_generation_are_those_of_the_merged_model(exact):
    wrapped = adapt(exact)
    live = Checkpoint.load(wrapped, tokenizer=exact.tokenizer)
    with quiet():
        merged = Checkpoint.load(copy.deepcopy(wrapped).merge_and_unload(), tokenizer=exact.tokenizer)
    found, expected = (capture(each, TEXTS, STREAM, "all") for each in (live, merged))
    for point in STREAM:
        assert_close(found[point], expected[point], atol=1e-5, rtol=1e-5)
    written = [generate(each, TEXTS, max_new_tokens=8).tokens for each in (live, merged, exact)]
    assert written[0] == written[1] != written[2]


def test_a_trained_adapter_moves_the_model_it_is_in(zoo):
    """A few steps on one text, from PEFT's own first weights (zeros), then hooks inside the wrapper."""
    base = zoo.load("llama", torch.float32)
    with quiet():
        wrapped = get_peft_model(
            copy.deepcopy(base.model), LoraConfig(r=4, target_modules=["q_proj", "down_proj"])
        )
    live = Checkpoint.load(wrapped, tokenizer=base.tokenizer)
    ids = torch.tensor(base.encode(TEXTS[2:3]))
    assert torch.equal(bare(live, ids).logits, bare(base, ids).logits)
    optimizer = torch.optim.Adam([p for p in wrapped.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(5):
        losses.append(wrapped(input_ids=ids, labels=ids).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0]
    (point,) = points = [HookPoint(2, "attn_out")]
    (moved, plain) = (passes(each, ids, points)[0][point] for each in (live, base))
    assert not torch.allclose(moved, plain, atol=1e-3)


def test_a_live_adapter_is_a_checkpoint_like_any_other(member, live, family):
    pair = check_pair(member, live)
    assert pair.tuned.name.endswith("with adapter default")
    assert live.fingerprint != member.fingerprint
    assert (live.dtype, live.n_heads, live.d_head) == (member.dtype, member.n_heads, member.d_head)
    assert [live.width(point) for point in locate_values(family)] == [
        member.width(p) for p in locate_values(family)
    ]
    assert not live.model.training
    fresh = random_init(live, seed=1)
    assert fresh.fingerprint == random_init(member, seed=1).fingerprint


@pytest.mark.parametrize("name", ["gpt2", "mixtral"])
def test_fingerprints_tell_scales_and_active_adapters_apart(zoo, name):
    exact = zoo.load(name, torch.float32)

    def fingerprint(wrapped: PeftModel) -> str:
        return Checkpoint.load(wrapped, tokenizer=exact.tokenizer).fingerprint

    soft, loud, off = adapt(exact), adapt(exact, lora_alpha=32), adapt(exact)
    lora: Any = off.base_model
    lora.disable_adapter_layers()
    assert len({fingerprint(soft), fingerprint(loud), fingerprint(off)}) == 3
    assert fingerprint(soft) == fingerprint(adapt(exact))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"), "PREFIX_TUNING"),
        (LoraConfig(r=4, task_type="CAUSAL_LM", alora_invocation_tokens=[5]), "LORA"),
    ],
)
def test_an_adapter_outside_the_models_modules_is_refused(zoo, config, named):
    base = zoo.load("llama", torch.float32)
    with quiet():
        wrapped = get_peft_model(copy.deepcopy(base.model), config)
    with pytest.raises(UserError, match=rf"adapter 'default' \({named}\) works outside"):
        Checkpoint.load(wrapped, tokenizer=base.tokenizer)


def test_a_base_that_has_the_adapter_in_it_is_no_base(zoo):
    base = zoo.load("llama", torch.float32)
    wrapped = adapt(base)
    inside: Any = wrapped.get_base_model()
    with pytest.raises(UserError, match="are one model, with the adapter in it"):
        load_pair(inside, wrapped, tokenizer=base.tokenizer)
    assert load_pair(base.model, wrapped, tokenizer=base.tokenizer)


def test_a_live_adapter_needs_a_tokenizer(zoo):
    base = zoo.load("llama", torch.float32)
    wrapped = adapt(base)
    assert Checkpoint.load(wrapped).encode(["a"]) == base.encode(["a"])  # its folder has one
    inside: Any = wrapped.get_base_model()
    inside.config._name_or_path = inside.name_or_path = ""
    with pytest.raises(UserError, match=r"as \(model, tokenizer\)"):
        Checkpoint.load(wrapped)


def test_sites_are_found_where_adapters_wrap_them(zoo):
    """LoRA puts a module of its own in the output projection's place."""
    base = zoo.load("gemma2", torch.float32)
    live = Checkpoint.load(adapt(base), tokenizer=base.tokenizer)
    for site in SITES:
        check_point(live, HookPoint(1, site))
