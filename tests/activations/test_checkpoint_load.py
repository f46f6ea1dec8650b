import copy
import json
import os

import pytest
import torch
from safetensors.torch import load_file
from transformer_lens.model_bridge import TransformerBridge

from tests.activations.reference import PROMPTS
from tests.toys import Shape, byte_tokenizer, embedding, save_folder, tiny_folder, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, capture, generate


def test_a_folder_loads_as_transformers_wrote_it(folders, checkpoint, shape):
    saved = load_file(folders[shape] / "model.safetensors")
    loaded = checkpoint.model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
    assert not checkpoint.model.training
    assert checkpoint.model.config._attn_implementation == "sdpa"
    assert checkpoint.name == str(folders[shape])


def test_sizes_are_those_of_the_config(checkpoint):
    sizes = (checkpoint.n_layers, checkpoint.d_model, checkpoint.d_vocab, checkpoint.n_ctx)
    assert sizes == (3, 32, len(word_tokenizer()), 64)
    assert (checkpoint.device, checkpoint.dtype) == (torch.device("cpu"), torch.float32)


def test_loading_prints_nothing(folders, shape, capfd):
    Checkpoint.load(folders[shape])
    assert capfd.readouterr() == ("", "")


def test_a_string_path_a_home_path_and_a_relative_path_load(folders, monkeypatch):
    monkeypatch.setenv("HOME", str(folders["gpt2"].parent))
    monkeypatch.chdir(folders["gpt2"].parent)
    name = folders["gpt2"].name
    found = {
        Checkpoint.load(path).fingerprint for path in (str(folders["gpt2"]), f"~/{name}", name, f"./{name}")
    }
    assert len(found) == 1


def test_shards_load(tmp_path, folders):
    whole = Checkpoint.load(folders["llama"])
    whole.model.save_pretrained(tmp_path, max_shard_size="20KB")
    whole.tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert Checkpoint.load(tmp_path).fingerprint == whole.fingerprint


def test_the_precision_asked_for_is_used(folders, shape):
    checkpoint = Checkpoint.load(folders[shape], dtype=torch.bfloat16)
    assert checkpoint.dtype == torch.bfloat16
    captured = capture(checkpoint, PROMPTS, [HookPoint(1, "mlp_out")])
    assert captured.activations.dtype == torch.float32
    assert checkpoint.fingerprint != Checkpoint.load(folders[shape]).fingerprint


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_auto_is_the_precision_that_the_checkpoint_says(folders, tmp_path, dtype):
    saved = Checkpoint.load(folders["llama"], dtype=dtype)
    saved.model.save_pretrained(tmp_path)
    saved.tokenizer.save_pretrained(tmp_path)
    auto = Checkpoint.load(tmp_path, dtype="auto")
    assert auto.dtype == dtype
    assert auto.fingerprint == saved.fingerprint
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if "dtype" not in k}))
    assert Checkpoint.load(tmp_path, dtype="auto").dtype == dtype  # where config.json is silent, the weights


def test_a_live_model_is_used_as_it_is(shape: Shape):
    tokenizer = word_tokenizer()
    model = tiny_model(shape, len(tokenizer)).train()
    checkpoint = Checkpoint.load(model, tokenizer=tokenizer)
    assert checkpoint.model is model
    assert not model.training


def test_fingerprints_tell_weights_apart(tmp_path):
    first, same, other = (
        tiny_folder(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    fingerprint = Checkpoint.load(first).fingerprint
    assert fingerprint == Checkpoint.load(same).fingerprint
    assert fingerprint != Checkpoint.load(other).fingerprint
    assert len(fingerprint) == 16
    assert int(fingerprint, 16)


def test_one_changed_weight_changes_the_fingerprint(shape):
    tokenizer = word_tokenizer()
    model = tiny_model(shape, len(tokenizer))
    before = Checkpoint.load(model, tokenizer=tokenizer).fingerprint
    with torch.no_grad():
        embedding(model)[3, 3] += 1e-6
    assert Checkpoint.load(model, tokenizer=tokenizer).fingerprint != before


def test_a_bridge_loads_and_does_what_its_model_did(checkpoint):
    bridge = checkpoint.bridge()
    assert isinstance(bridge, TransformerBridge)
    bridged = Checkpoint.load(bridge)
    points = [HookPoint(layer, site) for layer in range(3) for site in ("resid_pre", "resid_mid", "mlp_out")]
    torch.testing.assert_close(
        capture(bridged, PROMPTS, points).activations,
        capture(checkpoint, PROMPTS, points).activations,
        atol=1e-5,
        rtol=1e-5,
    )
    ours, theirs = (generate(each, PROMPTS, max_new_tokens=10) for each in (checkpoint, bridged))
    assert ours == theirs


def test_a_bridge_over_a_bridge_is_a_copy(llama):
    bridge = llama.bridge()
    again = Checkpoint.load(bridge).bridge()
    assert again is not bridge
    ids = torch.tensor([[1, 4, 5]])
    assert torch.equal(again(ids), bridge(ids))


def test_making_a_bridge_leaves_the_model_and_its_tokenizer_alone(checkpoint):
    before = copy.deepcopy(checkpoint.tokenizer.init_kwargs)
    modules = [type(module) for module in checkpoint.model.modules()]
    checkpoint.bridge()
    assert [type(module) for module in checkpoint.model.modules()] == modules
    assert checkpoint.model.config._attn_implementation == "sdpa"
    assert checkpoint.tokenizer.init_kwargs == before


def test_a_bridge_has_the_checkpoints_own_tokenizer(checkpoint):
    tokenizer = checkpoint.bridge().tokenizer
    assert [tokenizer.encode(text) for text in PROMPTS] == [
        checkpoint.tokenizer.encode(text) for text in PROMPTS
    ]


@pytest.mark.parametrize("text", ["Q: 3 + 4 = ?", "so  two spaces", "naïve 東京"])
def test_byte_level_text_comes_back(tmp_path, shape, text):
    tokenizer = byte_tokenizer()
    checkpoint = Checkpoint.load(save_folder(tmp_path, tiny_model(shape, len(tokenizer)), tokenizer))
    assert checkpoint.decode(checkpoint.encode([text])[0]) == text


def test_words_come_back_with_their_spaces(checkpoint):
    assert checkpoint.decode(checkpoint.encode(["a = 3 ;"])[0]) == "a = 3 ;"


def test_token_ids_pass_through_encode(llama):
    assert llama.encode([[1, 5, 6], [2]]) == [[1, 5, 6], [2]]


def test_an_end_token_that_the_tokenizer_adds_is_left_out(llama):
    from tokenizers import processors

    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    assert tokenizer.encode("a =")[-1] == 2
    checkpoint = Checkpoint.load(llama.model, tokenizer=tokenizer)
    assert checkpoint.encode(["a ="]) == llama.encode(["a ="])
    assert checkpoint.encode(["a = <eos>"])[0][-1] == 2


def test_the_environment_is_offline():
    # What follows in this folder must not wait for a network.
    assert os.environ["HF_HUB_OFFLINE"] == "1"
