"""Every source that cannot be loaded, and the one line that says why."""

import inspect
import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.toys import tiny_folder, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError, files


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "model")


def refused(source, **options) -> str:
    with pytest.raises(UserError) as caught:
        Checkpoint.load(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "source", ["./nowhere", "../nowhere", "/nowhere/at/all", "~/nowhere-at-all", "a/b/c"]
)
def test_a_path_where_nothing_is(source):
    assert "there is no checkpoint folder" in refused(source)


def test_a_missing_folder_in_a_folder_that_exists(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert "there is no checkpoint folder model/step-3" in refused("model/step-3")
    assert "there is no checkpoint folder" in refused(folder / "nothing")


@pytest.mark.parametrize(
    "source", ["x" * 100_000, "a\x1b[31mb", "two words", "a\x00b", "~nobody-here/model", "a:b"]
)
def test_what_can_be_no_hub_id(source):
    message = refused(source)
    assert "there is no checkpoint folder" in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize("source", ["mdoel", "modle", "./modle", "{}/modle"])
def test_a_mistyped_folder_is_not_asked_of_the_hub(folder, monkeypatch, source):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "moodle").mkdir()  # no checkpoint
    source = source.format(folder.parent)
    close = folder if source.startswith("/") else "model"
    message = refused(source)
    assert message.endswith(f"; close to it are {close}")
    assert "there is no checkpoint folder" in message


def test_a_mistyped_parent(folder, monkeypatch):
    monkeypatch.chdir(folder.parent.parent)
    parent = folder.parent.name
    assert refused(f"{parent}x/model").split("; ")[1].startswith(f"close to it are {parent}/model")


def test_control_characters_in_an_error_are_shown(folder):
    (folder / "\x1b[2J\nx.bin").write_text("")
    (folder / "model.safetensors").unlink()
    assert "(\\x1b[2J\\nx.bin)" in refused(folder)
    assert str(UserError("a\x1b[31m\u202eb\nc")) == "a\\x1b[31m\\u202eb\nc"


def test_a_dtype_that_is_none(folder):
    load: Any = inspect.unwrap(vars(Checkpoint)["load"].__func__)
    for dtype in ("bfloat16", torch.int8):
        with pytest.raises(UserError, match="dtype must be a floating type"):
            load(Checkpoint, folder, dtype=dtype)


def test_a_file(folder):
    assert "is a file" in refused(folder / "config.json")


@pytest.mark.parametrize("source", ["nobody/has-this-model", "has-this-model"])
def test_a_hub_id_that_cannot_be_reached(source, capfd):
    assert f"no folder {source} here, and it could not be had from the Hugging Face hub" in refused(source)
    assert capfd.readouterr() == ("", "")


def test_an_empty_folder(tmp_path):
    assert "has no config.json" in refused(tmp_path)


def test_a_config_that_is_not_json(folder):
    (folder / "config.json").write_text("{")
    assert "config.json cannot be read as JSON" in refused(folder)
    (folder / "config.json").write_text("[]")
    assert "must hold a JSON object" in refused(folder)


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    assert "holds no weights: expected model.safetensors" in refused(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt"])
def test_pickled_weights(folder, name):
    torch.save(load_file(folder / "model.safetensors"), folder / name)
    (folder / "model.safetensors").unlink()
    message = refused(folder)
    assert f"pickle format only ({name})" in message
    assert "safetensors" in message


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_file(folder, kept):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    assert f"{file} is truncated or corrupt" in refused(folder)


def test_a_corrupt_header(folder):
    file = folder / "model.safetensors"
    file.write_bytes(b"\xff" * 200 + file.read_bytes()[200:])
    assert f"{file} is truncated or corrupt" in refused(folder)


def shard(folder):
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    files = {name: f"model-{1 + i % 2:05d}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file(
            {n: tensors[n] for n in names if files[n] == file}, folder / file, metadata={"format": "pt"}
        )
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return sorted(set(files.values()))


def test_a_missing_shard(folder):
    second = folder / shard(folder)[1]
    second.unlink()
    assert f"weight file {second} is missing" in refused(folder)


def test_a_truncated_shard(folder):
    second = folder / shard(folder)[1]
    second.write_bytes(second.read_bytes()[:-3])
    assert f"{second} is truncated or corrupt" in refused(folder)


def test_an_index_that_names_nothing(folder):
    shard(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    assert "names no weight files" in refused(folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../other/model.safetensors", "outside its folder"),
        ("/other/model.safetensors", "outside its folder"),
        ("C:\\\\model.safetensors", "outside its folder"),
        ("x.bin", "weights are safetensors files only"),
        (3, "weights are safetensors files only"),
        ({}, "weights are safetensors files only"),
    ],
)
def test_an_index_that_names_anything_else(folder, name, says):
    files = shard(folder)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    torch.save({}, folder / "x.bin")
    content["weight_map"] = {key: name if at == files[0] else at for key, at in content["weight_map"].items()}
    index.write_text(json.dumps(content))
    assert says in refused(folder)


@pytest.mark.parametrize("name", ["x.bin", "adapter_model.bin", "model.safetensors", 3])
def test_a_config_that_names_its_weights(folder, name):
    # Beside good weights, which are then not what is loaded.
    torch.save(load_file(folder / "model.safetensors"), folder / "x.bin")
    edit_config(folder, transformers_weights=name)
    assert "remove the key" in refused(folder)


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": 3}, "model_type must be text, got 3"),
        ({"architectures": "Llama"}, "architectures must be a list, got 'Llama'"),
        ({"architectures": [3]}, "architectures must be a list of text"),
        ({"rope_parameters": 3}, "rope_parameters must be an object"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings must be true or false"),
        ({"num_hidden_layers": "3"}, "num_hidden_layers must be a number, got '3'"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be a number, got True"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, but the weights beside it are"),
        ({"hidden_size": "wide"}, "cannot load a model from"),
        ({"hidden_size": None}, "cannot load a model from"),
        ({"num_attention_heads": 0}, "cannot load a model from"),
        ({"vocab_size": [1]}, "cannot load a model from"),
        ({"model_type": "\x1b[31m" + "x" * 100_000}, "\\x1b[31mxxx"),
        ({"rope_parameters": {"rope_type": "nonesuch\x07"}}, "cannot load a model from"),
    ],
)
def test_a_config_of_the_wrong_types(folder, changes, says):
    edit_config(folder, **changes)
    message = refused(folder)
    assert says in message
    assert message.isprintable()
    assert len(message) < 1500


@pytest.mark.parametrize("content", ["[" * 100_000 + "]" * 100_000, '{"a":' * 101 + "1" + "}" * 101])
def test_a_config_that_is_nested_too_deep(folder, content):
    (folder / "config.json").write_text(content)
    assert "config.json is nested more than 100 deep" in refused(folder)


def test_a_config_larger_than_any(folder, monkeypatch):
    monkeypatch.setattr(files, "_MOST_BYTES", 100)
    assert "a JSON file of at most 100 was expected" in refused(folder)


def edit_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_missing_weights_are_not_filled_in_at_random(folder):
    edit_weights(folder, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    assert "missing model.layers.1.mlp.up_proj.weight" in refused(folder)


def test_unexpected_weights(folder):
    edit_weights(folder, lambda tensors: tensors.update({"model.layers.9.extra": torch.zeros(2)}))
    assert "unexpected model.layers.9.extra" in refused(folder)


def test_weights_of_another_shape(folder):
    edit_weights(folder, lambda tensors: tensors.update({"lm_head.weight": torch.zeros(2, 2)}))
    assert "cannot load a model from" in refused(folder)


def test_an_architecture_that_is_not_a_language_model(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "nonesuch"}))
    assert "nonesuch" in refused(folder)


def test_code_in_the_folder_is_not_run(folder, tmp_path):
    mark = tmp_path / "ran"
    (folder / "modeling.py").write_text(f"open({str(mark)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "modeling.Config", "AutoModelForCausalLM": "modeling.Model"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": auto}))
    assert "runs only if trust_remote_code is on" in refused(folder)
    assert not mark.exists()


def test_a_live_model_without_its_tokenizer():
    assert "give both, as (model, tokenizer)" in refused(tiny_model("llama", 50))


def test_something_else():
    load: Any = inspect.unwrap(vars(Checkpoint)["load"].__func__)  # without the type checks that tests add
    with pytest.raises(UserError, match="not from a int"):
        load(Checkpoint, 3)


def test_a_device_that_is_not_there(folder):
    assert "device 'cuda:99' cannot be used here" in refused(folder, device="cuda:99")
    assert "device 'gpu' cannot be used here" in refused(folder, device="gpu")


def test_no_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "cannot load a tokenizer from" in refused(folder)


def test_a_tokenizer_larger_than_the_model():
    assert "the model embeds only 20 tokens" in refused(tiny_model("llama", 20), tokenizer=word_tokenizer())


@pytest.mark.parametrize(
    ("prompts", "room", "says"),
    [
        (
            ["a", "b", "a " * 64],
            0,
            "prompt 2 is too long: it has 65 tokens, but the model's context is 64",
        ),
        (["a " * 60], 4, "it has 61 tokens and 4 more are to be written"),
        ([[1, 2], []], 0, r"prompt 1 \(\[\]\) has no tokens"),
        ([[1, 99]], 0, "prompt 0 holds token id 99, valid are 0 to "),
        ([[-1]], 0, "token id -1"),
        ("a = 3", 0, "put it in a list"),
    ],
)
def test_prompts_that_cannot_be_read(llama, prompts, room, says):
    with pytest.raises(UserError, match=says):
        llama.encode(prompts, room=room)


def test_a_prompt_that_just_fits(llama):
    assert len(llama.encode(["a " * 59], room=4)[0]) == 60
