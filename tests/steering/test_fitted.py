"""Vectors fitted with frozen weights: they are learnt, the weights are not."""

from typing import Any

import pytest
import torch

from tests.toys import SHAPES, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, GateAt, HookPoint, Intervention, generate
from undertext.activations.errors import UserError
from undertext.steering import fit_vector, fitted

PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; c = b + 1 ; so c ?"]
TARGETS = ["answer so", "answer", "answer so so"]
NORMS = torch.full((3,), 4.0)


def checkpoint(shape: Any = "llama") -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model(shape, len(tokenizer)), tokenizer=tokenizer)


def loss(who: Checkpoint, layer: int, vector: torch.Tensor, at: str) -> torch.Tensor:
    """The targets' mean cross-entropy, one text at a time, with a plain hook on Hugging Face's block."""
    inner: Any = who.model.base_model
    block = (inner.h if hasattr(inner, "h") else inner.layers)[layer]
    total, count = torch.zeros(()), 0
    for prompt, target in zip(PROMPTS, TARGETS, strict=True):
        head = who.encode([prompt])[0]
        tail: list[int] = who.tokenizer.encode(target, add_special_tokens=False)
        n = len(head)
        where = {"last_prompt": [n - 1], "prompt": range(n), "generated": range(n, n + len(tail))}
        where["all"] = range(n + len(tail))

        def add(module: Any, args: Any, output: Any, places: Any = list(where[at])) -> Any:  # noqa: B006
            states = output[0] if isinstance(output, tuple) else output
            changed = torch.stack(
                [states[:, i] + vector if i in places else states[:, i] for i in range(states.shape[1])], 1
            )
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        handle = block.register_forward_hook(add)
        logits = who.model(torch.tensor([head + tail])).logits[0]
        handle.remove()
        total = total - torch.log_softmax(logits[n - 1 : -1], -1)[range(len(tail)), tail].sum()
        count += len(tail)
    return total / count


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("at", ["last_prompt", "prompt", "generated", "all"])
def test_fitting_is_adam_on_the_targets_cross_entropy(shape, at: GateAt):
    who = checkpoint(shape)
    found = fit_vector(who, PROMPTS, TARGETS, NORMS, layers=[1], at=at, steps=5, lr=0.1)
    shares = torch.zeros(32, requires_grad=True)
    optimiser = torch.optim.Adam([shares], 0.1)
    for _ in range(5):
        (shares.grad,) = torch.autograd.grad(loss(who, 1, shares * 4 / 32**0.5, at), [shares])
        optimiser.step()
    torch.testing.assert_close(found[1], (shares * 4 / 32**0.5).detach(), rtol=1e-3, atol=1e-4)
    assert not found[[0, 2]].any()


def test_what_is_fitted_makes_the_model_write_the_targets():
    who = checkpoint()
    found = fit_vector(who, PROMPTS, ["answer so"] * 3, NORMS, steps=80, lr=0.1)
    for layer in range(3):
        steering = Intervention(HookPoint(layer, "resid_post"), found[layer], 1.0)
        texts = generate(who, PROMPTS, max_new_tokens=1, interventions=[steering] * 3).texts
        assert texts == ["answer"] * 3


def test_together_layers_act_at_once_and_need_less_each():
    who = checkpoint()
    options: dict[str, Any] = {"steps": 60, "lr": 0.1, "at": "all"}
    found = fit_vector(who, PROMPTS, ["answer so"] * 3, NORMS, layers=[0, 2], together=True, **options)
    assert found[[0, 2]].any(dim=-1).all()
    assert not found[1].any()
    row = [Intervention(HookPoint(layer, "resid_post"), found[layer], 1.0, "all") for layer in (0, 2)]
    assert generate(who, PROMPTS, max_new_tokens=2, interventions=[row] * 3).texts == ["answer so"] * 3
    apart = fit_vector(who, PROMPTS, ["answer so"] * 3, NORMS, layers=[0, 2], **options)
    assert not torch.equal(found, apart)


def test_no_weight_changes_and_nothing_is_left_behind():
    who = checkpoint()
    who.model.get_parameter("lm_head.weight").requires_grad_(False)
    before = {name: each.detach().clone() for name, each in who.model.named_parameters()}
    asking = {name: each.requires_grad for name, each in who.model.named_parameters()}
    done: list[int] = []
    fit_vector(who, PROMPTS, TARGETS, NORMS, layers=[0, 1], steps=3, progress=done.append)
    assert done == [1] * 6
    for name, parameter in who.model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
        assert parameter.requires_grad == asking[name]
    assert not any(module._forward_hooks for module in who.model.modules())


def test_the_vector_hangs_on_the_seed():
    who = checkpoint()
    made = [
        fit_vector(who, PROMPTS, TARGETS, NORMS, layers=[1], steps=4, batch_size=1, seed=seed)
        for seed in (*range(6), 0)
    ]
    assert torch.equal(made[0], made[-1])
    assert len({tuple(each[1].tolist()) for each in made}) > 1


def test_every_pair_is_seen_before_any_is_seen_again(monkeypatch):
    who, seen, whole = checkpoint(), list[Any](), fitted.targets_of

    def spy(who: Checkpoint, pairs: Any, at: GateAt) -> Any:
        seen.append(pairs)
        return whole(who, pairs, at)

    monkeypatch.setattr(fitted, "targets_of", spy)
    fit_vector(who, PROMPTS, TARGETS, NORMS, layers=[1], steps=4, batch_size=2)
    assert [len(pairs) for pairs in seen] == [2, 1, 2, 1]
    for epoch in (seen[:2], seen[2:]):
        assert sorted(str(pair) for pairs in epoch for pair in pairs) == sorted(
            str((who.encode([p])[0], who.tokenizer.encode(t, add_special_tokens=False)))
            for p, t in zip(PROMPTS, TARGETS, strict=True)
        )


def test_mistakes_are_named():
    who = checkpoint()
    with pytest.raises(UserError, match="a target for each prompt, got 3 and 2"):
        fit_vector(who, PROMPTS, TARGETS[:2], NORMS)
    with pytest.raises(UserError, match="got 0 and 0"):
        fit_vector(who, [], [], NORMS)
    with pytest.raises(UserError, match=r"target 1 \(''\) has no tokens"):
        fit_vector(who, PROMPTS, ["so", "", "so"], NORMS)
    with pytest.raises(UserError, match="too long"):
        fit_vector(who, PROMPTS, ["so " * 70] * 3, NORMS)
    with pytest.raises(UserError, match="its layers are 0 to 2"):
        fit_vector(who, PROMPTS, TARGETS, torch.ones(9), layers=[3])
    with pytest.raises(UserError, match=r"at blocks\.1\.hook_resid_post: the loss is nan; lower lr"):
        fit_vector(who, PROMPTS, TARGETS, 1e30 * NORMS, layers=[1], lr=1e20)
