"""Folders whose JSON is damaged or means harm: loaded, or refused in one line within bounds."""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from tests.toys import byte_tokenizer, save_folder, tiny_folder, tiny_model
from undertext.activations import Checkpoint, UserError
from undertext.activations.quiet import quiet

FILES = [
    ("base", "config.json"),
    ("base", "generation_config.json"),
    ("base", "tokenizer.json"),
    ("base", "tokenizer_config.json"),
    ("bytes", "tokenizer.json"),
    ("adapter", "adapter_config.json"),
]
HARM: list[object] = [
    *(None, True, 0, -1, 10**6, 10**12, 10**30, -(10**30), 2**63, 1.5, float("nan"), float("inf")),
    *("", "x", "\x1b[31m", "\ud800", "\u202e", "x" * 10**5, "../../../etc/passwd", "http://example.com/x"),
    *([], [[]], [1], ["a"], [None] * 3, {}, {"a": 1}, {"type": "x"}, {"a": {"b": {"c": []}}}),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    tiny_folder(root / "base")
    tokenizer = byte_tokenizer()
    save_folder(root / "bytes", tiny_model("llama", len(tokenizer)), tokenizer)
    with quiet():
        config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        model = get_peft_model(Checkpoint.load(root / "base").model, config)
        model.peft_config["default"].base_model_name_or_path = str(root / "base")
        model.save_pretrained(root / "adapter")
    return root


def places(value, path=()):
    """Where in a file something else can stand; of lists the first three, of a vocabulary nothing."""
    yield path
    items = (
        value.items() if isinstance(value, dict) else enumerate(value[:3] if isinstance(value, list) else [])
    )
    for key, inner in items:
        if len(path) < 5 and (*path, key)[:2] != ("model", "vocab"):
            yield from places(inner, (*path, key))


def put(content, path, value):
    if not path:
        return value
    at = content
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return content


def loads_or_refuses(folder):
    said = None
    try:
        checkpoint = Checkpoint.load(folder)
        checkpoint.decode(checkpoint.encode(["a = 3 ; find b :"])[0])
    except UserError as error:
        said = str(error)
    assert said is None or (said.isprintable() and len(said) < 1500)
    return said


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_anywhere_in_a_file(folders, tmp_path, data):
    folder, name = data.draw(st.sampled_from(FILES))
    content = json.loads((folders / folder / name).read_text())
    path = data.draw(st.sampled_from(list(places(content))))
    case = tmp_path / "case"
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(folders / folder, case)
    (case / name).write_text(json.dumps(put(content, path, data.draw(st.sampled_from(HARM)))))
    loads_or_refuses(case)


def doubling(pattern):
    return {
        "type": "Sequence",
        "normalizers": [{"type": "Replace", "pattern": {pattern: "a"}, "content": "aa"} for _ in range(40)],
    }


def padded(content):
    return content | {
        "padding": {
            "strategy": {"Fixed": 10**12},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<pad>",
        }
    }


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("tokenizer.json", lambda c: c | {"normalizer": doubling("String")}, "1.1e+12 times as long"),
        ("tokenizer.json", lambda c: c | {"normalizer": doubling("Regex")}, "1.1e+12 times as long"),
        ("tokenizer.json", padded, None),
        ("tokenizer_config.json", lambda c: c | {"chat_template": "{{ x }}" * 10**6}, None),
        ("tokenizer_config.json", lambda c: c | {"model_max_length": -1}, None),
        ("config.json", lambda c: c | {"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000, but"),
    ],
    ids=["doubles its text", "by expression", "pads", "long template", "negative length", "million layers"],
)
def test_what_would_fill_the_memory(folders, tmp_path, name, change, says):
    shutil.copytree(folders / "bytes", tmp_path / "case")
    file = tmp_path / "case" / name
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    said = loads_or_refuses(tmp_path / "case")
    assert said is None if says is None else says in (said or "")
