"""PEFT adapters, merged into their base."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from tests.activations.reference import PROMPTS
from tests.toys import tiny_folder
from undertext.activations import Checkpoint, HookPoint, UserError, capture, load_pair
from undertext.activations.quiet import quiet

TARGETS = {
    "llama": ["q_proj", "v_proj", "down_proj"],
    "qwen2": ["q_proj", "o_proj"],
    "gpt2": ["c_attn", "c_proj"],
}


@pytest.fixture
def base(tmp_path, shape):
    return tiny_folder(tmp_path / "base", shape)


@pytest.fixture
def adapted(base, shape):
    """An adapter's model with random weights in both of its factors."""
    with quiet():
        config = LoraConfig(r=4, target_modules=TARGETS[shape], fan_in_fan_out=shape == "gpt2")
        model = get_peft_model(Checkpoint.load(base).model, config)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    return model


@pytest.fixture
def adapter(adapted, base):
    folder = base.parent / "adapter"
    with quiet():
        adapted.save_pretrained(folder)
    return folder


def test_a_merged_adapter_computes_what_peft_computes(adapter, adapted, base, capfd):
    checkpoint = Checkpoint.load(adapter)
    assert capfd.readouterr() == ("", "")
    ids = checkpoint.encode(["a = 3 ;"])
    with torch.no_grad():
        expected = adapted(input_ids=torch.tensor(ids), output_hidden_states=True)
    point = HookPoint(1, "resid_post")
    found = capture(checkpoint, ids, [point], "all")[point]
    torch.testing.assert_close(found, expected.hidden_states[2][0], atol=1e-5, rtol=1e-5)
    plain = capture(Checkpoint.load(base), ids, [point], "all")[point]
    assert not torch.allclose(found, plain, atol=1e-2)
    assert type(checkpoint.model) is type(Checkpoint.load(base).model)


def test_base_and_adapter_are_a_pair(adapter, base):
    pair = load_pair(base, adapter)
    assert pair.base.fingerprint != pair.tuned.fingerprint


def point_to(adapter, base):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))


def test_a_base_is_found_from_the_adapters_own_folder(adapter, tmp_path, monkeypatch):
    expected = Checkpoint.load(adapter).fingerprint
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    point_to(adapter, "../base")
    assert Checkpoint.load(adapter).fingerprint == expected


def test_an_adapters_own_tokenizer_comes_first(adapter, base):
    for file in base.glob("tokenizer*"):
        shutil.move(file, adapter / file.name)
    assert Checkpoint.load(adapter).encode(PROMPTS)


def test_pickled_adapter_weights_are_refused(adapter):
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"pickle format only \(adapter_model.bin\)"):
        Checkpoint.load(adapter)


def test_a_truncated_adapter_is_refused(adapter):
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"adapter_model.safetensors is truncated or corrupt"):
        Checkpoint.load(adapter)


def test_an_adapter_that_lacks_weights_is_refused(adapter):
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    gone = sorted(tensors)[0]
    save_file({name: tensor for name, tensor in tensors.items() if name != gone}, file)
    with pytest.raises(UserError, match="do not fit its base: ") as caught:
        Checkpoint.load(adapter)
    assert gone in str(caught.value)


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("./nowhere", "there is no checkpoint folder nowhere"),
        ("nobody/none", "nobody/none"),
        (None, "names no base_model_name_or_path"),
        ("", "names no base_model_name_or_path"),
        (".", "names its own folder as its base"),
    ],
)
def test_a_base_that_is_not_there(adapter, named, says):
    point_to(adapter, named)
    with pytest.raises(UserError, match=says):
        Checkpoint.load(adapter)


def test_a_base_of_another_shape(adapter, base, shape):
    shutil.rmtree(base)
    tiny_folder(base, shape, d_model=64)
    with pytest.raises(UserError, match="cannot merge the adapter"):
        Checkpoint.load(adapter)
