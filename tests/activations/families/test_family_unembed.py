"""What leaves the last block, unembedded, is what the model itself says."""

import pytest
import torch

from tests.toys import TEXTS
from undertext.activations import HookPoint, UserError, capture, hooked, unembed


def last(checkpoint) -> HookPoint:
    return HookPoint(checkpoint.n_layers - 1, "resid_post")


def test_the_last_layer_gives_the_models_own_logits(member, dtype):
    captured = capture(member, TEXTS, [last(member)], "all", dtype=dtype)
    with torch.no_grad():
        own = [member.model(torch.tensor([ids])).logits[0].float() for ids in member.encode(TEXTS)]
    bound = {torch.float32: 1e-5, torch.bfloat16: 0.06}[dtype]
    torch.testing.assert_close(
        unembed(member, captured[last(member)]), torch.cat(own), rtol=bound, atol=bound
    )


def test_gradients_pass_and_the_models_weights_get_none(exact):
    h = torch.randn(2, 3, exact.d_model, generator=torch.Generator().manual_seed(0), requires_grad=True)
    logits = unembed(exact, h)
    assert logits.shape == (2, 3, exact.d_vocab)
    (gradient,) = torch.autograd.grad(logits[1, 2].logsumexp(-1), h)
    assert gradient[1, 2].abs().max() > 0
    assert gradient[0].abs().max() == 0
    assert not unembed(exact, h.detach()).requires_grad
    assert all(parameter.grad is None for parameter in exact.model.parameters())


def test_a_soft_cap_is_applied(zoo):
    gemma = zoo.load("gemma2", torch.float32)
    h = 1e4 * torch.randn(5, gemma.d_model, generator=torch.Generator().manual_seed(1))
    cap = gemma.model.config.final_logit_softcapping
    with torch.no_grad():
        norm = gemma.model.model.norm(h)
        bare = norm @ gemma.model.get_output_embeddings().weight.T
    torch.testing.assert_close(unembed(gemma, h), cap * torch.tanh(bare / cap), rtol=1e-4, atol=1e-4)
    assert (unembed(gemma, h) - bare).abs().max() > 1e-3


def test_no_rows_and_a_wrong_width(exact):
    assert unembed(exact, torch.empty(0, exact.d_model)).shape == (0, exact.d_vocab)
    with pytest.raises(UserError, match=rf"expected activations \[.., {exact.d_model}\], got \[2, 5\]"):
        unembed(exact, torch.zeros(2, 5))


def test_no_hook_stays(exact):
    unembed(exact, torch.zeros(1, exact.d_model))
    seen = []
    with hooked(exact, {last(exact): lambda activation: seen.append(activation.shape)}), torch.no_grad():
        exact.model(torch.tensor([[3, 4, 5]]))
    assert seen == [(1, 3, exact.d_model)]
