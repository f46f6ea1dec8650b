"""Weights that stand in files too make room and come back bit for bit, whatever happens; others stay."""

import os
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.toys import SHAPES, tiny_folder
from undertext.activations import Checkpoint, HookPoint, UserError, capture
from undertext.activations.noise import noisy
from undertext.activations.quiet import quiet
from undertext.activations.random_init import random_init, random_init_instead

POINT = HookPoint(1, "resid_post")


def copies(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in checkpoint.model.named_parameters()}


def held(checkpoint: Checkpoint) -> set[str]:
    """The names of the weights that are in memory."""
    return {name for name, each in checkpoint.model.named_parameters() if each.numel()}


def check_unchanged(checkpoint: Checkpoint, before: dict[str, torch.Tensor]) -> None:
    after = dict(checkpoint.model.named_parameters())
    assert after.keys() == before.keys()
    for name, own in before.items():
        assert after[name].dtype == own.dtype
        assert torch.equal(after[name], own), name


def used_by_error(checkpoint: Checkpoint, error: type[BaseException]) -> None:
    with random_init_instead(checkpoint, seed=5):
        raise error("within")


def noised_by_error(checkpoint: Checkpoint, error: type[BaseException]) -> None:
    with noisy(checkpoint, 0.5, seed=3):
        raise error("within")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_make_room_for_a_random_init_and_come_back(shape, dtype, tmp_path):
    # Stored in float32: in 16 bits they are what is stored, rounded.
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m", shape), dtype=dtype)
    before, prompts = copies(checkpoint), ["a = 3 ;", "find b"]
    read = capture(checkpoint, prompts, [POINT])[POINT]
    wanted = random_init(checkpoint, seed=5)
    with random_init_instead(checkpoint, seed=5) as nothing:
        assert held(checkpoint) == set()
        check_unchanged(nothing, copies(wanted))
        with pytest.raises(RuntimeError), torch.inference_mode():
            checkpoint.model(input_ids=torch.tensor([[1, 2]]))
    check_unchanged(checkpoint, before)
    assert held(nothing) == set()
    torch.testing.assert_close(capture(checkpoint, prompts, [POINT])[POINT], read)
    head, embedding = checkpoint.model.get_output_embeddings(), checkpoint.model.get_input_embeddings()
    assert (head.weight is embedding.weight) == checkpoint.model.config.tie_word_embeddings


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("fail", [used_by_error, noised_by_error])
def test_an_error_leaves_the_weights_as_they_were(fail, error, tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m"))
    before = copies(checkpoint)
    for _ in range(2):
        with pytest.raises(error, match="within"):
            fail(checkpoint, error)
        check_unchanged(checkpoint, before)


def test_shards_are_found(tmp_path):
    whole = Checkpoint.load(tiny_folder(tmp_path / "whole"))
    whole.model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    whole.tokenizer.save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    checkpoint = Checkpoint.load(tmp_path / "shards")
    with random_init_instead(checkpoint, seed=5):
        assert held(checkpoint) == set()
    check_unchanged(checkpoint, copies(whole))


@pytest.mark.parametrize("fail", [used_by_error, noised_by_error])
def test_a_live_model_is_nowhere_else_and_stays(fail, tmp_path):
    live = Checkpoint.load(Checkpoint.load(tiny_folder(tmp_path / "m")).model)
    before = copies(live)
    with random_init_instead(live, seed=5):
        check_unchanged(live, before)
    with pytest.raises(RuntimeError, match="within"):
        fail(live, RuntimeError)
    check_unchanged(live, before)


@pytest.mark.parametrize("fail", [used_by_error, noised_by_error])
def test_what_was_changed_since_it_was_read_stays_as_it_is(fail, tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m"))
    changed = "model.layers.1.mlp.up_proj.weight"
    # One bit of it, and in a way that torch does not count.
    checkpoint.model.get_parameter(changed).data[0, 0] *= -1
    before = copies(checkpoint)
    with random_init_instead(checkpoint, seed=5):
        assert held(checkpoint) == {changed}
    with pytest.raises(RuntimeError, match="within"):
        fail(checkpoint, RuntimeError)
    check_unchanged(checkpoint, before)


def test_a_merged_adapter_stays(tmp_path):
    base = tiny_folder(tmp_path / "base")
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(3)
        config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        get_peft_model(Checkpoint.load(base).model, config).save_pretrained(tmp_path / "adapter")
    merged = Checkpoint.load(tmp_path / "adapter")
    before = copies(merged)
    with random_init_instead(merged, seed=5), noisy(merged, 0.5, seed=3):
        assert held(merged) == set(before)
    check_unchanged(merged, before)


@pytest.mark.parametrize("body", [noisy, random_init_instead])
def test_files_that_change_meanwhile_leave_nothing_that_could_be_taken_for_the_weights(body, tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m"))
    matrices = {name for name, each in checkpoint.model.named_parameters() if each.ndim > 1}
    how = {"scale": 0.5} if body is noisy else {}
    with (
        pytest.raises(UserError, match=r"model\.safetensors has changed while its weights were in use"),
        body(checkpoint, **how, seed=3),
    ):
        os.utime(tmp_path / "m" / "model.safetensors", ns=(1, 1))
    assert not held(checkpoint) & matrices
    with pytest.raises(RuntimeError), torch.inference_mode():
        checkpoint.model(input_ids=torch.tensor([[1, 2]]))


@pytest.mark.parametrize("body", [noisy, random_init_instead])
def test_a_file_that_takes_the_name_of_another_meanwhile_is_not_read(body, tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m"))
    before = copies(checkpoint)
    other = tiny_folder(tmp_path / "other", seed=1) / "model.safetensors"
    how = {"scale": 0.5} if body is noisy else {}
    with body(checkpoint, **how, seed=3):
        other.replace(tmp_path / "m" / "model.safetensors")
    check_unchanged(checkpoint, before)
    with body(checkpoint, **how, seed=3):  # now the file holds others: copies are kept
        assert held(checkpoint) == set(before)
    check_unchanged(checkpoint, before)


def test_files_that_are_gone_or_none_hold_nothing(tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m"))
    before = copies(checkpoint)
    (tmp_path / "m" / "model.safetensors").unlink()
    for rest in (None, b"", b"\xff" * 64, b"\x02" + bytes(7) + b"[]"):
        if rest is not None:
            (tmp_path / "m" / "model.safetensors").write_bytes(rest)
        with random_init_instead(checkpoint, seed=5), noisy(checkpoint, 0.5, seed=3):
            assert held(checkpoint) == set(before)
        check_unchanged(checkpoint, before)


def test_weights_of_the_hub_are_read_from_its_cache(tmp_path, monkeypatch):
    folder = tiny_folder(tmp_path / "m")
    cache = tmp_path / "hub"
    snapshot = cache / "models--owner--name" / "snapshots" / ("0" * 40)
    shutil.copytree(folder, snapshot)
    (cache / "models--owner--name" / "refs").mkdir()
    (cache / "models--owner--name" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    checkpoint = Checkpoint.load("owner/name")
    before = copies(checkpoint)
    with random_init_instead(checkpoint, seed=5):
        assert held(checkpoint) == set()
    check_unchanged(checkpoint, before)
