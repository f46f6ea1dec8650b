"""Two checkpoints in one room: the weights of one are in memory at a time, and every figure is the same."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.toys import SHAPES, tiny_folder
from undertext.activations import Checkpoint, HookPoint, Intervention, UserError, capture, generate, load_pair
from undertext.activations.noise import noisy
from undertext.activations.quiet import quiet
from undertext.activations.random_init import random_init
from undertext.activations.weights import Room

PROMPTS = ["a = 3 ;", "find b", "c = 1 + 2"]
POINT = HookPoint(1, "resid_post")


def resident(checkpoint: Checkpoint) -> int:
    return sum(each.numel() for each in checkpoint.weights.modules.parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_in_turn_they_are_what_they_are_alone(shape, tmp_path):
    folders = [tiny_folder(tmp_path / str(seed), shape, seed=seed) for seed in (0, 1)]
    alone = [Checkpoint.load(folder) for folder in folders]
    room = Room()
    pair = load_pair(*folders, room=room)
    tied = [each.config.tie_word_embeddings for each in (one.weights.modules for one in pair)]
    for _ in range(2):
        for one, other, expected, is_tied in zip(pair, reversed(pair), alone, tied, strict=True):
            assert one.fingerprint == expected.fingerprint
            rows = [capture(each, PROMPTS, [POINT])[POINT] for each in (one, expected)]
            torch.testing.assert_close(*rows, rtol=0, atol=0)
            pushed = Intervention(POINT, torch.ones(one.d_model), 3.0)
            written = [
                generate(each, PROMPTS, max_new_tokens=4, interventions=[pushed] * len(PROMPTS))
                for each in (one, expected)
            ]
            assert written[0].texts == written[1].texts
            assert resident(other) == 0 < resident(one) == resident(expected)
            head, embedding = one.model.get_output_embeddings(), one.model.get_input_embeddings()
            assert (head.weight is embedding.weight) == is_tied
    assert room.turns == 4


def test_an_adapter_that_was_merged_is_merged_again(tmp_path):
    base = tiny_folder(tmp_path / "base")
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(3)
        config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        get_peft_model(Checkpoint.load(base).model, config).save_pretrained(tmp_path / "adapter")
    expected = Checkpoint.load(tmp_path / "adapter")
    pair = load_pair(base, tmp_path / "adapter", room=Room())
    assert resident(pair.base) == 0
    assert pair.base.model is pair.base.weights.modules
    assert resident(pair.tuned) == 0
    for name, parameter in expected.model.named_parameters():
        assert torch.equal(pair.tuned.model.get_parameter(name), parameter)


def test_what_cannot_be_read_again_stays(tmp_path):
    room = Room()
    live = Checkpoint.load(tiny_folder(tmp_path / "live"))
    pair = load_pair(live.model, tiny_folder(tmp_path / "read", seed=1), room=room)
    assert 0 < resident(pair.base) == resident(pair.tuned)
    capture(pair.base, PROMPTS, [POINT])
    assert resident(pair.tuned)
    assert room.turns == 0


def test_who_held_a_tensor_fails_and_gets_no_figure(tmp_path):
    pair = load_pair(tiny_folder(tmp_path / "a"), tiny_folder(tmp_path / "b", seed=1), room=Room())
    held = pair.base.model
    assert pair.tuned.model is not held
    ids = torch.tensor([[1, 2]])
    with pytest.raises(RuntimeError), torch.inference_mode():
        held(input_ids=ids)


def test_files_that_change_meanwhile_are_refused(tmp_path):
    pair = load_pair(tiny_folder(tmp_path / "a"), tiny_folder(tmp_path / "b", seed=1), room=Room())
    tiny_folder(tmp_path / "a", seed=2)
    for _ in range(2):  # not there the first time, and not there the second
        with pytest.raises(UserError, match="a have changed while they were in use: start again"):
            capture(pair.base, PROMPTS, [POINT])


def test_a_random_init_shares_the_room_and_is_drawn_again_alike(tmp_path):
    alone = random_init(Checkpoint.load(tiny_folder(tmp_path / "a")), seed=5)
    pair = load_pair(tmp_path / "a", tiny_folder(tmp_path / "b", seed=1), room=Room())
    blank = random_init(pair.base, seed=5)
    for _ in range(2):
        found, wanted = (capture(each, PROMPTS, [POINT])[POINT] for each in (blank, alone))
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
        assert resident(pair.base) == resident(pair.tuned) == 0
        capture(pair.tuned, PROMPTS, [POINT])
        assert resident(pair.base) == resident(blank) == 0


def test_noise_in_a_room_holds_no_copy_and_is_gone_afterwards(tmp_path):
    pair = load_pair(tiny_folder(tmp_path / "a"), tiny_folder(tmp_path / "b", seed=1), room=Room())
    alone = Checkpoint.load(tmp_path / "a")
    found = []
    for each in (pair.base, alone):
        with noisy(each, 0.5, seed=3):
            found.append(capture(each, PROMPTS, [POINT])[POINT])
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert pair.base.weights.room is not None
    assert resident(pair.base) == 0
    after = [capture(each, PROMPTS, [POINT])[POINT] for each in (pair.base, alone)]
    torch.testing.assert_close(*after, rtol=0, atol=0)
    assert not torch.equal(after[0], found[0])
