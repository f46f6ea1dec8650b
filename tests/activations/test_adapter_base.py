"""Where an adapter's base is found, and folders that hold more than one thing."""

import json
import shutil

import huggingface_hub
import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.toys import tiny_folder, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError, check_pair, load_pair
from undertext.activations.quiet import quiet


@pytest.fixture
def base(tmp_path):
    return tiny_folder(tmp_path / "base")


def adapter_on(base, folder, target="q_proj"):
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(3)
        config = LoraConfig(r=2, target_modules=[target], init_lora_weights=False)
        get_peft_model(Checkpoint.load(base).model, config).save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(base, tmp_path):
    return adapter_on(base, tmp_path / "adapter")


def names(adapter, base):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))


@pytest.fixture
def no_network(monkeypatch):
    """Whatever asks the hub for a file fails the test."""

    def asked(*args, **kwargs):
        raise AssertionError(f"the hub was asked: {args} {kwargs}")

    for module, name in (
        (huggingface_hub.file_download, "hf_hub_download"),
        (huggingface_hub.file_download, "_hf_hub_download_to_cache_dir"),
        (huggingface_hub.HfApi, "file_exists"),
        (huggingface_hub.HfApi, "model_info"),
    ):
        monkeypatch.setattr(module, name, asked)
    monkeypatch.setattr("undertext.activations.sources.find_adapter_config_file", asked)


@pytest.mark.parametrize(
    "named", ["/home/other/base", "someone/base-model", "some-model", None, "x" * 100_000]
)
def test_a_pair_uses_the_base_it_was_given(base, adapter, named, no_network):
    expected = Checkpoint.load(adapter).fingerprint
    names(adapter, named)
    pair = load_pair(base, adapter)
    assert pair.tuned.fingerprint == expected
    (note,) = pair.notes
    assert f"it is merged into {base}" in note
    assert pair.tuned.encode(["a = 3"]) == pair.base.encode(["a = 3"])
    assert Checkpoint.load(adapter, base=base).fingerprint == expected


def test_a_live_base_is_copied(base, adapter):
    expected = Checkpoint.load(adapter).fingerprint
    names(adapter, "/home/other/base")
    live = Checkpoint.load(base)
    pair = load_pair(live.model, adapter)
    assert pair.base.model is live.model
    assert pair.tuned.fingerprint == expected != pair.base.fingerprint


def test_the_base_an_adapter_names_comes_first(base, adapter, tmp_path):
    other = tiny_folder(tmp_path / "other", seed=1)
    pair = load_pair(other, adapter)
    assert pair.tuned.fingerprint == Checkpoint.load(adapter).fingerprint
    assert pair.notes == [f"the adapter {adapter} is merged into the base it names, {base}"]
    assert load_pair(base, adapter).notes == []


def test_without_a_base_the_error_says_how_to_give_one(adapter):
    names(adapter, "/home/other/base")
    with pytest.raises(
        UserError,
        match=r"names a base that is not here \(there is no .*\): .* Checkpoint.load\(adapter, base=\.\.\.\)",
    ):
        Checkpoint.load(adapter)


def test_adapters_that_name_each_other(base, adapter, tmp_path):
    second = adapter_on(base, tmp_path / "second")
    names(adapter, str(second))
    names(second, str(adapter))
    with pytest.raises(UserError, match=r"second/adapter_config.json names a base that is merged into it"):
        Checkpoint.load(adapter)


def test_an_adapter_on_an_adapter(base, adapter, tmp_path):
    second = adapter_on(adapter, tmp_path / "second", "k_proj")
    names(second, str(adapter))
    tuned = Checkpoint.load(second).model.state_dict()
    plain, one = Checkpoint.load(base).model.state_dict(), Checkpoint.load(adapter).model.state_dict()
    for part in ("q_proj", "k_proj", "v_proj"):
        name = f"model.layers.0.self_attn.{part}.weight"
        assert torch.equal(one[name], plain[name]) == (part != "q_proj")
        assert torch.equal(tuned[name], one[name]) == (part != "k_proj")


def test_a_whole_model_beside_an_adapter_is_refused(adapter, base):
    for file in base.iterdir():
        shutil.copy(file, adapter / file.name)
    with pytest.raises(UserError, match=r"holds both a whole model \(model.safetensors\) and an adapter"):
        load_pair(base, adapter)
    (adapter / "adapter_config.json").unlink()
    assert Checkpoint.load(adapter).fingerprint == Checkpoint.load(base).fingerprint


def test_a_config_beside_an_adapter_is_no_model(adapter, base):
    expected = Checkpoint.load(adapter).fingerprint
    shutil.copy(base / "config.json", adapter)
    assert Checkpoint.load(adapter).fingerprint == expected


def test_a_pickle_behind_an_index_is_not_read(adapter, tmp_path):
    file = adapter / "adapter_model.safetensors"
    file.rename(adapter / "part.safetensors")
    (adapter / "adapter_model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "part.safetensors"}})
    )
    torch.save({}, adapter / "adapter_model.bin")
    with pytest.raises(UserError, match=r"pickle format only \(adapter_model.bin\)"):
        Checkpoint.load(adapter)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"peft_type": 3}', "peft_type must be text, got 3"),
        ('{"base_model_name_or_path": ["a"]}', "base_model_name_or_path must be text"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 100 deep"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested more than 100 deep"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_an_adapter_config_that_is_none(adapter, base, content, says):
    (adapter / "adapter_config.json").write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        load_pair(base, adapter)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def cache_in(tmp_path, monkeypatch, folder, repository):
    """A hub's cache that holds `folder` as a repository."""
    at = tmp_path / "cache" / f"models--{repository.replace('/', '--')}"
    (at / "refs").mkdir(parents=True)
    (at / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, at / "snapshots" / ("0" * 40))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_hub_ids_come_from_the_cache(base, adapter, tmp_path, monkeypatch):
    cache_in(tmp_path, monkeypatch, base, "some/base")
    cache_in(tmp_path, monkeypatch, adapter, "some/adapter")
    assert Checkpoint.load("some/base").fingerprint == Checkpoint.load(base).fingerprint
    assert Checkpoint.load("some/adapter").fingerprint == Checkpoint.load(adapter).fingerprint


def test_a_live_model_has_the_tokenizer_of_its_folder_or_of_the_cache(base, tmp_path, monkeypatch):
    expected = Checkpoint.load(base)
    model = expected.model
    assert Checkpoint.load(model).encode(["a = 3"]) == expected.encode(["a = 3"])
    with quiet():
        live = get_peft_model(Checkpoint.load(base).model, LoraConfig(target_modules=["q_proj"]))
    assert check_pair(Checkpoint.load(model), Checkpoint.load(live)).tuned.encode(["a"]) == expected.encode(
        ["a"]
    )
    cache_in(tmp_path, monkeypatch, base, "some/base")
    model.config._name_or_path = "some/base"
    assert Checkpoint.load(model).encode(["a = 3"]) == expected.encode(["a = 3"])


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "nobody/none", "\x1b[31mred"])
def test_a_live_model_whose_tokenizer_is_not_here(name):
    model = tiny_model("llama", len(word_tokenizer()))
    model.config._name_or_path = name
    with pytest.raises(UserError, match=r"give both, as \(model, tokenizer\)") as caught:
        load_pair(model, model)
    assert str(caught.value).isprintable()
    pair = load_pair((model, word_tokenizer()), Checkpoint.load((model, word_tokenizer())))
    assert pair.base.encode(["a = 3"]) == [word_tokenizer().encode("a = 3")]


def test_an_adapter_may_be_the_first_of_a_pair(base, adapter, no_network):
    expected = Checkpoint.load(adapter).fingerprint
    names(adapter, "someone/base-model")
    for other in (base, Checkpoint.load(base), Checkpoint.load(base).model):
        pair = load_pair(adapter, other)
        assert pair.base.fingerprint == expected
        (note,) = pair.notes
        assert "it is merged into" in note


def test_two_adapters_whose_base_is_nowhere(base, adapter, tmp_path):
    second = adapter_on(base, tmp_path / "second")
    names(adapter, "/home/other/base")
    names(second, "/home/other/base")
    with pytest.raises(UserError, match=r"names a base that is not here"):
        load_pair(adapter, second)


def test_the_hub_is_asked_once_and_the_cache_serves_where_it_does_not_answer(base, tmp_path, monkeypatch):
    asked = []

    def silent(url, **options):
        asked.append(url)
        raise OSError("no route to host")

    monkeypatch.setattr("undertext.activations.paths.get_hf_file_metadata", silent)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=r"no folder nobody/none here, and .* hub: no route to host"):
        Checkpoint.load("nobody/none")
    assert len(asked) == 1
    cache_in(tmp_path, monkeypatch, base, "some/base")
    assert Checkpoint.load("some/base").fingerprint == Checkpoint.load(base).fingerprint
    assert len(asked) == 2
