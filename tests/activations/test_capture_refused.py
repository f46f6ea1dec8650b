import pytest
import torch

from tests.toys import embedding, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, UserError, capture

POINT = HookPoint(1, "resid_post")
PROMPTS = ["a = 3 ;", "so"]


@pytest.mark.parametrize(
    ("positions", "says"),
    [
        ([[0]], "positions for each of 2 prompts, got 1"),
        ([[0], [2]], "prompt 1 has 2 tokens: there is no position 2 in it"),
        ([[-6], [0]], "prompt 0 has 5 tokens: there is no position -6 in it"),
    ],
)
def test_positions_that_are_not_there(llama, positions, says):
    with pytest.raises(UserError, match=says):
        capture(llama, PROMPTS, [POINT], positions)


def test_a_layer_that_is_not_there(llama):
    with pytest.raises(UserError, match=r"has no blocks.3.hook_resid_pre: its layers are 0 to 2"):
        capture(llama, PROMPTS, [HookPoint(3, "resid_pre")])


@pytest.mark.parametrize("points", [[], [POINT, HookPoint(0, "mlp_out"), POINT]])
def test_no_points_and_points_given_twice(llama, points):
    with pytest.raises(UserError, match="expected hook points, each once"):
        capture(llama, PROMPTS, points)


def test_a_batch_of_nothing(llama):
    with pytest.raises(UserError, match="batch_tokens must be at least 1, a whole number, got 0"):
        capture(llama, PROMPTS, [POINT], batch_tokens=0)


def test_a_prompt_longer_than_the_context(llama):
    with pytest.raises(UserError, match="prompt 1 is too long: it has 65 tokens"):
        capture(llama, ["a", "a " * 64], [POINT])


def test_one_string_instead_of_a_list(llama):
    with pytest.raises(UserError, match="put it in a list"):
        capture(llama, "a = 3 ;", [POINT])


def test_a_point_that_was_not_captured(llama):
    with pytest.raises(
        UserError, match=r"blocks.0.hook_mlp_out was not captured; there are blocks.1.hook_resid_post"
    ):
        capture(llama, PROMPTS, [POINT])[HookPoint(0, "mlp_out")]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_activations_that_are_no_numbers(shape, bad):
    tokenizer = word_tokenizer()
    model = tiny_model(shape, len(tokenizer))
    with torch.no_grad():
        embedding(model)[tokenizer.convert_tokens_to_ids("so"), 4] = bad
    checkpoint = Checkpoint.load(model, tokenizer=tokenizer)
    fine = capture(checkpoint, PROMPTS[:1], [POINT], "all")
    assert fine.activations.isfinite().all()
    with pytest.raises(UserError) as caught:
        capture(checkpoint, ["a", "a =", *PROMPTS], [HookPoint(0, "resid_pre"), POINT], "all")
    assert "NaN or infinity at blocks.0.hook_resid_pre, prompt 3, token 1" in str(caught.value)


def test_large_numbers_are_numbers(llama):
    tokenizer = word_tokenizer()
    model = tiny_model("llama", len(tokenizer))
    with torch.no_grad():
        embedding(model).fill_(1e38)  # their sum is infinite
    checkpoint = Checkpoint.load(model, tokenizer=tokenizer)
    assert capture(checkpoint, PROMPTS, [HookPoint(0, "resid_pre")]).activations.max() == 1e38
