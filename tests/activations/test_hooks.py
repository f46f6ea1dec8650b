import pytest
import torch
from torch.testing import assert_close
from torch.utils.hooks import RemovableHandle
from transformers import GPTNeoXConfig

from tests.activations.made_interventions import hooks_on
from tests.activations.reference import PROMPTS, attach
from tests.toys import random_model, tiny_model, word_tokenizer
from undertext.activations import SITES, Checkpoint, HookPoint, UserError, capture, hooked
from undertext.activations.hooks import _attach

IDS = torch.tensor([[1, 4, 30, 23], [1, 9, 8, 7]])
POINTS = [HookPoint(layer, site) for layer in range(3) for site in SITES]


def logits(checkpoint: Checkpoint) -> torch.Tensor:
    with torch.no_grad():
        return checkpoint.model(input_ids=IDS).logits


def fail(activation):
    raise ArithmeticError


def test_reading_changes_nothing(checkpoint):
    before = logits(checkpoint)
    seen = []
    with hooked(checkpoint, {point: lambda a: seen.append(a.shape) for point in POINTS}):
        assert torch.equal(logits(checkpoint), before)
    assert seen == [(2, 4, 32)] * len(POINTS)


@pytest.mark.parametrize("site", SITES)
def test_writing_equals_a_plain_hook(checkpoint, site):
    point = HookPoint(1, site)
    shift = torch.linspace(-2, 2, 32)
    with hooked(checkpoint, {point: lambda a: a + shift}):
        found = logits(checkpoint)
    handle = attach(checkpoint, point, lambda a: a + shift)
    expected = logits(checkpoint)
    handle.remove()
    assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, logits(checkpoint), atol=1e-2)


def test_a_value_written_at_resid_mid_goes_on_along_the_stream(checkpoint):
    with hooked(
        checkpoint, {HookPoint(0, "resid_mid"): torch.zeros_like, HookPoint(0, "mlp_out"): torch.zeros_like}
    ):
        after = capture(checkpoint, PROMPTS, [HookPoint(0, "resid_post")])
    assert not after.activations.any()


@pytest.mark.parametrize("site", SITES)
def test_gradients_pass_through_what_is_written(checkpoint, site):
    shift = torch.zeros(32, requires_grad=True)
    with hooked(checkpoint, {HookPoint(1, site): lambda a: a * (1 + shift) + shift}):
        checkpoint.model(input_ids=IDS).logits.square().sum().backward()
    assert shift.grad is not None
    assert shift.grad.abs().min() > 0


def test_hooks_are_gone_after_the_body(checkpoint):
    before = hooks_on(checkpoint.model)
    with hooked(checkpoint, dict.fromkeys(POINTS, fail)):
        assert hooks_on(checkpoint.model) == before + len(POINTS)
    assert hooks_on(checkpoint.model) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, GeneratorExit])
def test_hooks_are_gone_when_the_body_fails(checkpoint, error):
    before = hooks_on(checkpoint.model)
    with pytest.raises(error), hooked(checkpoint, dict.fromkeys(POINTS, fail)):
        raise error
    assert hooks_on(checkpoint.model) == before


def test_hooks_are_gone_when_a_hook_fails(checkpoint):
    before = hooks_on(checkpoint.model)
    with pytest.raises(ArithmeticError), hooked(checkpoint, {HookPoint(1, "attn_out"): fail}):
        logits(checkpoint)
    assert hooks_on(checkpoint.model) == before


def test_hooks_are_gone_when_a_point_half_way_is_bad(checkpoint):
    before = hooks_on(checkpoint.model)
    points = [POINTS[0], POINTS[1], HookPoint(99, "resid_pre"), POINTS[2]]
    with pytest.raises(UserError, match="99"), hooked(checkpoint, dict.fromkeys(points, fail)):
        raise AssertionError("the body must not run")
    assert hooks_on(checkpoint.model) == before


def test_hooks_are_gone_when_registering_is_interrupted(checkpoint, monkeypatch):
    before = hooks_on(checkpoint.model)
    attached: list[RemovableHandle] = []

    def interrupted(*args):
        if len(attached) == 3:
            raise KeyboardInterrupt
        attached.append(_attach(*args))
        return attached[-1]

    monkeypatch.setattr("undertext.activations.hooks._attach", interrupted)
    with pytest.raises(KeyboardInterrupt), hooked(checkpoint, dict.fromkeys(POINTS[:5], fail)):
        raise AssertionError("the body must not run")
    assert len(attached) == 3
    assert hooks_on(checkpoint.model) == before


def test_capture_leaves_no_hooks(checkpoint):
    before = hooks_on(checkpoint.model)
    capture(checkpoint, PROMPTS, POINTS)
    capture(checkpoint, PROMPTS, POINTS[:2])
    assert hooks_on(checkpoint.model) == before


def test_a_sequential_block_of_the_same_family_has_every_site():
    tokenizer = word_tokenizer()
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        use_parallel_residual=False,
    )
    checkpoint = Checkpoint.load(random_model(config), tokenizer=tokenizer)
    captured = capture(checkpoint, PROMPTS, [HookPoint(1, site) for site in SITES[:5]], "all")
    pre, mid, post, attn, mlp = captured.activations
    assert_close(pre + attn, mid)
    assert_close(mid + mlp, post)


def test_hooks_of_a_block_around_another_see_only_passes_of_its_own(shape):
    words = word_tokenizer()
    checkpoint = Checkpoint.load(tiny_model(shape, len(words)), tokenizer=words)  # not tried yet
    seen: list[int] = []
    outer = {HookPoint(0, "resid_post"): lambda activation: seen.append(activation.shape[1])}
    with hooked(checkpoint, outer), hooked(checkpoint, {HookPoint(1, "mlp_out"): lambda activation: None}):
        checkpoint.model(input_ids=torch.tensor([[1, 5, 6, 7, 8, 9]]))
    assert seen == [6]
