"""Each mistake a user can make: one clear line on stderr, exit code 2, nothing left behind."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from tests.toys import word_tokenizer


@pytest.fixture
def compare(cli, untrained, small_task, tmp_path):
    """Run compare with these in place of what is right, and check how it ended; returns the line.

    A mistake that shows only while something runs leaves the parts finished before.
    """

    def run(base=None, tuned=None, task=None, out=None, *more, begun=False) -> str:
        out = Path(out or tmp_path / "out")
        before = sorted(tmp_path.rglob("*"))
        code, stdout, stderr = cli(
            "compare", "--base", base or untrained / "a", "--tuned", tuned or untrained / "b",
            "--task", task or small_task, "--out", out, "--threads", 1, *more,
        )  # fmt: skip
        assert code == 2
        assert stdout == ""
        assert len(stderr.splitlines()) == 1, stderr
        assert stderr.startswith("undertext: ")
        assert "Traceback" not in stderr
        parts = {out, *out.rglob("*")} if begun else set()
        assert {path.name for path in out.glob("*")} <= {"parts"} or not begun
        assert sorted(set(tmp_path.rglob("*")) - parts) == before
        return stderr

    return run


@pytest.fixture
def damaged(untrained, tmp_path):
    """A copy of a good checkpoint, to be damaged."""
    return shutil.copytree(untrained / "b", tmp_path / "damaged")


def test_wrong_paths(compare, tmp_path):
    assert f"{tmp_path}/nowhere" in compare(base=tmp_path / "nowhere")
    assert f"{tmp_path}/nowhere" in compare(task=tmp_path / "nowhere")


def test_a_hub_id_that_cannot_be_had(compare):
    assert "no-such-owner/no-such-model" in compare(tuned="no-such-owner/no-such-model")


def test_a_name_the_zoo_lacks(compare):
    assert "there are:" in compare(base="zoo:nonsense")
    assert "zoo:chain" in compare(task="zoo:nonsense")


def test_an_empty_task(compare, small_task, tmp_path):
    shutil.copytree(small_task, tmp_path / "task")
    (tmp_path / "task" / "problems.jsonl").write_text("")
    assert "no problems" in compare(task=tmp_path / "task")


def test_a_task_with_bad_lines_names_them_all(cli, small_task, untrained, tmp_path):
    shutil.copytree(small_task, tmp_path / "task")
    lines = (tmp_path / "task" / "problems.jsonl").read_text().splitlines()
    lines[3], lines[8] = "{", lines[8].replace('"prompt"', '"promt"')
    (tmp_path / "task" / "problems.jsonl").write_text("\n".join(lines))
    code, _, stderr = cli("task", "check", tmp_path / "task")
    assert code == 2
    assert "problems.jsonl:4:" in stderr
    assert "problems.jsonl:9:" in stderr
    assert "promt" in stderr


def test_a_split_the_task_lacks_and_one_that_is_fitted_on(compare):
    assert "dev, test, ood" in compare(None, None, None, None, "--splits", "test", "odd")
    assert "'dev' cannot be judged" in compare(None, None, None, None, "--splits", "dev")


def test_a_mismatched_pair_names_every_difference(compare, tmp_path):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "other")
    word_tokenizer().save_pretrained(tmp_path / "other")
    said = compare(tuned=tmp_path / "other")
    for part in ("4", "2", "64", "32", "tokenizer (", "words have different ids"):
        assert part in said


def test_pickled_weights(compare, damaged):
    torch.save(load_file(damaged / "model.safetensors"), damaged / "pytorch_model.bin")
    (damaged / "model.safetensors").unlink()
    assert "safetensors" in compare(tuned=damaged)


def test_truncated_weights(compare, damaged):
    whole = (damaged / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "model.safetensors" in compare(tuned=damaged)


def test_missing_weights_are_not_made_up(compare, damaged):
    weights = load_file(damaged / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    assert "missing" in compare(tuned=damaged)


def test_a_prompt_longer_than_the_context(compare, small_task, tmp_path):
    shutil.copytree(small_task, tmp_path / "task")
    problems = (tmp_path / "task" / "problems.jsonl").read_text()
    (tmp_path / "task" / "problems.jsonl").write_text(problems.replace("find", "find " * 120, 1))
    assert "context is 128" in compare(task=tmp_path / "task")


def test_nan_in_the_activations(compare, damaged):
    weights = load_file(damaged / "model.safetensors")
    weights["model.layers.2.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    assert "NaN" in compare(tuned=damaged, begun=True)


def test_an_output_that_cannot_be_written(compare, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "file" in compare(out=tmp_path / "file" / "below")
    assert "file" in compare(out=tmp_path / "file")
    compare(out="/proc/undertext")
    assert (tmp_path / "file").read_text() == "mine"


def test_configs(compare, tmp_path):
    (tmp_path / "c.yaml").write_text("seeed: 1\n")
    assert "'seeed'" in compare(None, None, None, None, "--config", tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("seed: [1\n")
    assert "YAML" in compare(None, None, None, None, "--config", tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("doses: [-1.0]\n")
    assert "doses" in compare(None, None, None, None, "--config", tmp_path / "c.yaml")
    assert "missing.yaml" in compare(None, None, None, None, "--config", tmp_path / "missing.yaml")


def test_what_is_left_out_is_asked_for(cli, untrained):
    code, _, stderr = cli("compare", "--base", untrained / "a")
    assert (code, stderr.count("\n")) == (2, 1)
    assert "--tuned, --task, --out" in stderr


@pytest.mark.parametrize(
    "args", [["nonsense"], ["zoo"], ["zoo", "build"], ["zoo", "build", "nonsense"], ["task", "new"]]
)
def test_commands_that_are_none(cli, args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, stderr = cli(*args)
    assert (code, stderr.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []
