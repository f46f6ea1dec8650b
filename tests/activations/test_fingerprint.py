"""The fingerprint tells apart what computes something else, and nothing that computes the same."""

import copy
import json
import shutil

import pytest
import torch

from tests.toys import family_folder, tiny_folder
from undertext.activations import Checkpoint, HookPoint, UserError, capture, capture_to_store

POINT = HookPoint(1, "resid_post")
PROMPTS = {"a": "a = 3 ; b = a + 2 ; find b :", "b": "c = 1 ; so c ? d = 4 ; e = d * 5 ;"}


def edited(folder, to, **changes):
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | changes))
    return to


MATTERS = {
    "llama": [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
        {"rms_norm_eps": 0.1},
        {"hidden_act": "relu"},
    ],
    "gemma2": [
        {"attn_logit_softcapping": 0.5},
        {"final_logit_softcapping": 0.5},
        {"query_pre_attn_scalar": 3},
        {"sliding_window": 2},
        {"layer_types": ["full_attention"] * 3},
    ],
    "gpt2": [{"layer_norm_epsilon": 0.1}, {"scale_attn_weights": False}],
}


@pytest.mark.parametrize(
    ("family", "changes"), [(f, c) for f, all_ in MATTERS.items() for c in all_], ids=str
)
def test_a_setting_that_changes_what_is_computed(tmp_path, family, changes):
    first = family_folder(tmp_path / "first", family)
    one = Checkpoint.load(first)
    other = Checkpoint.load(edited(first, tmp_path / "second", **changes))
    ids = torch.arange(4, 20)[None]
    with torch.no_grad():
        assert not torch.allclose(one.model(ids).logits, other.model(ids).logits, atol=1e-3)
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"_name_or_path": "elsewhere"},
        {"transformers_version": "4.0.0"},
        {"use_cache": False},
        {"attention_dropout": 0.1},
        {"initializer_range": 0.5},
        {"eos_token_id": 5},
        {"rms_norm_eps": 1e-06},
        {"dtype": "float32"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_matter(tmp_path, changes):
    first = tiny_folder(tmp_path / "first")
    one = Checkpoint.load(first)
    second = Checkpoint.load(edited(first, tmp_path / "second", **changes))
    assert one.fingerprint == second.fingerprint
    assert torch.equal(*(capture(each, list(PROMPTS.values()), [POINT])[POINT] for each in (one, second)))


def test_a_store_is_not_given_back_for_a_corrected_config(tmp_path):
    first = tiny_folder(tmp_path / "first")
    rope = {"rope_type": "default", "rope_theta": 50.0}
    second = edited(first, tmp_path / "second", rope_parameters=rope)
    capture_to_store(Checkpoint.load(first), PROMPTS, [POINT], "last", tmp_path / "store")
    with pytest.raises(UserError, match="checkpoint"):
        capture_to_store(Checkpoint.load(second), PROMPTS, [POINT], "last", tmp_path / "store")


def test_weights_that_are_one_and_buffers(llama):
    def of(change):
        model = copy.deepcopy(llama.model)
        change(model)
        return Checkpoint.load(model, tokenizer=llama.tokenizer).fingerprint

    def buffer(model):
        model.model.rotary_emb.inv_freq.mul_(2)

    def tie(model):
        model.lm_head.weight = model.model.embed_tokens.weight

    def copied(model):
        model.lm_head.weight = torch.nn.Parameter(model.model.embed_tokens.weight.detach().clone())

    found = [
        of(change) for change in (lambda model: None, buffer, tie, copied, lambda model: model.bfloat16())
    ]
    assert len(set(found)) == 5
    assert found[0] == llama.fingerprint


def test_reading_and_writing_leave_it_alone(tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path))
    before = Checkpoint.load(copy.deepcopy(checkpoint.model), tokenizer=checkpoint.tokenizer).fingerprint
    capture(checkpoint, list(PROMPTS.values()), [POINT])
    assert checkpoint.fingerprint == before
