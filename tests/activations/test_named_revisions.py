"""`id@revision` and patterns of checkpoints: what a text means, and that each revision is read as itself."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch

from tests.toys import save_folder, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError, paths
from undertext.activations.paths import Named, expanded, named


def saved(folder: Path, seed: int) -> Path:
    tokenizer = word_tokenizer()
    return save_folder(folder, tiny_model("llama", len(tokenizer), seed=seed), tokenizer)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("owner/name@step1000", Named("owner/name", "step1000")),
        ("name@refs/pr/1", Named("name", "refs/pr/1")),
        ("owner/name", Named("owner/name")),
        ("./owner/name@step", Named("./owner/name@step")),
        ("here/old@run", Named("here/old@run")),
        ("here/lacking@run", Named("here/lacking@run")),
    ],
)
def test_an_at_sign_names_a_revision_unless_the_text_is_a_path(text, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "old@run").mkdir(parents=True)
    assert named(text) == meant


def test_a_revision_that_cannot_be_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match="model is a folder here, and a folder has no revision step1"):
        named("model@step1")
    with pytest.raises(UserError, match="expected a branch, tag or commit after owner/name@, got ''"):
        named("owner/name@")
    with pytest.raises(UserError, match="is of the revision a, and b is asked for"):
        named("owner/name@a", "b")
    assert named("owner/name@a", "a") == Named("owner/name", "a")


@pytest.fixture
def cached(tmp_path, monkeypatch) -> dict[str, Path]:
    """A hub's cache with two revisions of one repository: their folders as they were saved."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    folders = {}
    for seed, step in enumerate(("step10", "step20")):
        folders[step] = saved(tmp_path / step, seed)
        shutil.copytree(folders[step], cache / "models--owner--steps" / "snapshots" / f"{seed:040d}")
        ref = cache / "models--owner--steps" / "refs" / step
        ref.parent.mkdir(exist_ok=True)
        ref.write_text(f"{seed:040d}")
    return folders


def test_each_revision_is_read_as_itself_and_keeps_its_name(cached):
    for step, folder in cached.items():
        read = Checkpoint.load(f"owner/steps@{step}")
        assert read.name == f"owner/steps@{step}"
        assert read.fingerprint == Checkpoint.load(folder).fingerprint
        assert read.fingerprint == Checkpoint.load("owner/steps", revision=step).fingerprint
    with pytest.raises(UserError, match="no folder owner/steps here, and at revision step30 it could not"):
        Checkpoint.load("owner/steps@step30")


def test_an_adapters_base_has_the_revision_that_its_config_names(cached, tmp_path):
    from peft import LoraConfig, get_peft_model

    base = Checkpoint.load(cached["step20"])
    model: Any = get_peft_model(base.model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    model.save_pretrained(tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    content = json.loads(file.read_text())
    merged = model.merge_and_unload()
    for revision, right in (("step20", True), ("step10", False)):
        file.write_text(
            json.dumps(content | {"base_model_name_or_path": "owner/steps", "revision": revision})
        )
        read = Checkpoint.load(tmp_path / "adapter")
        alike = [torch.equal(a, b) for a, b in zip(read.model.parameters(), merged.parameters(), strict=True)]
        assert all(alike) is right


def test_folders_are_matched_in_the_order_of_their_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for step in (1000, 200, 50):
        (tmp_path / "run" / f"checkpoint-{step}").mkdir(parents=True)
    (tmp_path / "run" / "checkpoint-notes.txt").write_text("")
    matched = [f"run/checkpoint-{step}" for step in (50, 200, 1000)]
    assert expanded("run/checkpoint-*") == matched
    assert expanded(str(tmp_path / "run/checkpoint-?0")) == [str(tmp_path / "run/checkpoint-50")]
    assert expanded("run/checkpoint-50") == ["run/checkpoint-50"]
    with pytest.raises(UserError, match=r"no folder matches run/step\*$"):
        expanded("run/step*")
    with pytest.raises(UserError, match=r"no folder matches run/checkpoint-n\*; there are run/checkpoint-n"):
        expanded("run/checkpoint-n*")
    (tmp_path / "run[1]").mkdir()
    assert expanded("run[1]") == ["run[1]"]


class Hub:
    """What stands in for HfApi: branches and tags of one repository."""

    def list_repo_refs(self, name: str) -> Any:
        assert name == "owner/steps"
        branches, tags = (
            [SimpleNamespace(name=each) for each in names]
            for names in (["main", "step1000", "step20"], ["step3", "step20"])
        )
        return SimpleNamespace(branches=branches, tags=tags)


def test_revisions_are_matched_among_branches_and_tags(monkeypatch):
    with pytest.raises(UserError, match=r"no folder matches owner/steps@step\*, and the hub lists no rev"):
        expanded("owner/steps@step*")  # the tests have no network
    monkeypatch.setattr(paths, "HfApi", Hub)
    assert expanded("owner/steps@step*") == [f"owner/steps@step{n}" for n in (3, 20, 1000)]
    with pytest.raises(UserError, match=r"no revision of owner/steps on the hub .*there are main, step1000"):
        expanded("owner/steps@epoch*")
