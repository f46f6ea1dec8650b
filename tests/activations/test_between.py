"""Weights between those of two checkpoints: the mean of both while it lasts, and gone afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tests.toys import SHAPES, random_model, save_folder, tiny_config, tiny_folder, word_tokenizer
from undertext.activations import Checkpoint, UserError
from undertext.activations.between import moved_at_random, moved_towards, why_not_between
from undertext.activations.pair import Pair, load_pair
from undertext.activations.quiet import quiet
from undertext.activations.weights import Room


def copies(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in checkpoint.model.named_parameters()}


def two(root: Path, shape: Any = "llama", **options: Any) -> Pair:
    folders = [root / name for name in ("one", "other")]
    for seed, folder in enumerate(folders):
        if not folder.exists():
            tiny_folder(folder, shape, seed=seed)
    return load_pair(*folders, **options)


@contextmanager
def failing() -> Iterator[None]:
    with pytest.raises(RuntimeError, match="within"):
        yield


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_midway_every_weight_is_the_mean_and_then_it_is_put_back(shape, dtype, alone, tmp_path):
    one, other = two(tmp_path, shape, dtype=dtype, room=Room() if alone else None)
    theirs = copies(other)
    before, eps = copies(one), torch.finfo(dtype).eps
    assert any(not torch.equal(before[name], theirs[name]) for name in before)
    assert why_not_between(one, other) is None
    with failing(), moved_towards(one, other, 0.5):
        for name, weight in copies(one).items():
            mean = (before[name].double() + theirs[name].double()) / 2
            assert torch.allclose(weight.double(), mean, atol=eps, rtol=2 * eps), name
        raise RuntimeError("within")
    after = copies(one)
    assert all(torch.equal(after[name], own) for name, own in before.items())
    assert all(torch.equal(own, theirs[name]) for name, own in copies(other).items())


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_way(share, tmp_path):
    one, other = two(tmp_path)
    before, theirs = copies(one), copies(other)
    with moved_towards(one, other, share):
        for name, weight in copies(one).items():
            assert torch.allclose(weight, torch.lerp(before[name], theirs[name], share), atol=1e-7)


@pytest.mark.parametrize("alone", [False, True])
def test_of_a_vocabulary_that_has_grown_the_rows_of_both_are_moved(alone, tmp_path):
    tokenizer = word_tokenizer()
    for name, d_vocab in (("one", len(tokenizer)), ("other", len(tokenizer) + 5)):
        model = random_model(tiny_config("llama", d_vocab), seed=d_vocab)
        save_folder(tmp_path / name, model, tokenizer)
    for names in (("one", "other"), ("other", "one")):
        room = Room() if alone else None
        one, other = load_pair(*(tmp_path / name for name in names), room=room)
        theirs, before = copies(other), copies(one)
        with moved_towards(one, other, 0.5):
            moved = copies(one)
        for name, weight in moved.items():
            rows = min(len(weight), len(theirs[name]))
            assert torch.allclose(weight[:rows], (before[name][:rows] + theirs[name][:rows]) / 2, atol=1e-7)
            assert torch.equal(weight[rows:], before[name][rows:])


def test_an_adapter_is_merged_and_moved_as_a_whole(tmp_path):
    base = tiny_folder(tmp_path / "base")
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(3)
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    pair = load_pair(base, tmp_path / "adapter")
    before, theirs = copies(pair.tuned), copies(pair.base)
    with moved_towards(pair.tuned, pair.base, 0.5):
        for name, weight in copies(pair.tuned).items():
            assert torch.allclose(weight, (before[name] + theirs[name]) / 2, atol=1e-7)
    assert all(torch.equal(own, before[name]) for name, own in copies(pair.tuned).items())
    alone = load_pair(base, tmp_path / "adapter", room=Room())
    why = why_not_between(alone.base, alone.tuned)
    assert why is not None
    assert "an adapter is merged" in why
    assert why_not_between(alone.tuned, alone.base) is None


def test_two_of_other_sizes_have_nothing_between_them(tmp_path):
    tokenizer = word_tokenizer()
    config = tiny_config("llama", len(tokenizer))
    save_folder(tmp_path / "one", random_model(config, seed=0), tokenizer)
    config.intermediate_size *= 2
    save_folder(tmp_path / "other", random_model(config, seed=1), tokenizer)
    one, other = load_pair(tmp_path / "one", tmp_path / "other")
    why = why_not_between(one, other)
    assert why is not None
    assert "mlp" in why
    before = copies(one)
    with (
        pytest.raises(UserError, match=r"expected two checkpoints of the same weights: .*mlp"),
        moved_towards(one, other, 0.5),
    ):
        pass
    assert all(torch.equal(own, before[name]) for name, own in copies(one).items())


def test_two_of_other_architectures_have_nothing_between_them(tmp_path):
    one, other = (Checkpoint.load(tiny_folder(tmp_path / shape, shape)) for shape in ("llama", "qwen2"))
    why = why_not_between(other, one)
    assert why is not None
    assert "has no" in why


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_at_random_every_weight_is_moved_as_far_as_the_other_is_away(dtype, alone, tmp_path):
    one, other = two(tmp_path, dtype=dtype, room=Room() if alone else None)
    theirs = copies(other)
    before, eps = copies(one), torch.finfo(dtype).eps
    moves = []
    for seed in (3, 3, 4):
        with moved_at_random(one, other, seed=seed):
            moves.append(copies(one))
        assert all(torch.equal(own, before[name]) for name, own in copies(one).items())
    up = total = 0
    for name, weight in moves[0].items():
        was, far = before[name].double(), (theirs[name].double() - before[name].double()).abs()
        moved = weight.double() - was
        assert torch.allclose(moved.abs(), far, atol=8 * eps, rtol=8 * eps), name
        up += int((moved > 0).sum())
        total += int((far > 0).sum())
        assert torch.equal(weight, moves[1][name])
    # Up as often as down, within five standard errors, and otherwise with another seed.
    assert abs(up - total / 2) < 5 * (total / 4) ** 0.5
    assert any(not torch.equal(weight, moves[2][name]) for name, weight in moves[0].items())


def test_two_of_other_architectures_are_not_moved_at_random_either(tmp_path):
    one, other = (Checkpoint.load(tiny_folder(tmp_path / shape, shape)) for shape in ("llama", "qwen2"))
    with (
        pytest.raises(UserError, match="expected two checkpoints of the same weights"),
        moved_at_random(other, one, seed=0),
    ):
        pass


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share, tmp_path):
    one, other = two(tmp_path)
    with pytest.raises(UserError, match="expected a share of the way"), moved_towards(one, other, share):
        pass


def test_a_tied_and_an_untied_checkpoint_have_nothing_between_them(tmp_path):
    tokenizer = word_tokenizer()
    for name, tied in (("one", False), ("other", True)):
        config = tiny_config("llama", len(tokenizer))
        config.tie_word_embeddings = tied
        save_folder(tmp_path / name, random_model(config), tokenizer)
    pair = load_pair(tmp_path / "one", tmp_path / "other")
    for one, other in (pair, pair[::-1]):
        why = why_not_between(one, other)
        assert why is not None
        assert "embeds tokens by the weights" in why


@pytest.mark.parametrize("spoilt", [b"", b"not a file of weights"])
def test_files_that_were_spoilt_meanwhile_are_an_error(spoilt, tmp_path):
    one, other = two(tmp_path, room=Room())
    assert one.model is not None  # the other has left the room
    (tmp_path / "other" / "model.safetensors").write_bytes(spoilt)
    why = why_not_between(one, other)
    assert why is not None
    assert "could not be read again" in why
