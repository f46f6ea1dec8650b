"""Loss recovered, against a plain pass for each prompt with a hook of torch's own."""

import pytest
import torch
from sae_lens import StandardSAE, StandardSAEConfig

from tests.toys import tiny_model, word_tokenizer
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.saes.loss import LossRecovered, loss_recovered

POINT = HookPoint(1, "resid_post")
PROMPTS = ["a b c d e f", "find a = 3 + 4", "g", "0 1 2 3 4 5 6 7 8 9", "so k ? answer"]


@pytest.fixture(scope="module")
def checkpoint():
    words = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(words)), tokenizer=words)


@pytest.fixture
def sae(checkpoint):
    torch.manual_seed(0)
    made = StandardSAE(StandardSAEConfig(d_in=checkpoint.d_model, d_sae=64))
    made.cfg.metadata.hook_name = str(POINT)
    with torch.no_grad():
        made.b_dec.fill_(0.1)
    return made


def plain(checkpoint, replace):
    """Mean loss over all predicted tokens, one prompt at a time."""
    total, tokens = 0.0, 0
    for ids in checkpoint.encode(PROMPTS):
        row = torch.tensor([ids])
        layer = checkpoint.model.model.layers[POINT.layer]

        def hook(module, args, output):
            found = replace(output[0] if isinstance(output, tuple) else output)
            return (found, *output[1:]) if isinstance(output, tuple) else found

        handle = layer.register_forward_hook(hook)
        with torch.no_grad():
            logits = checkpoint.model(row).logits[0].log_softmax(dim=-1)
        handle.remove()
        total -= sum(logits[i - 1, ids[i]].item() for i in range(1, len(ids)))
        tokens += len(ids) - 1
    return total / tokens, tokens


@pytest.mark.parametrize("batch_tokens", [1, 20, 4096])
def test_each_loss_is_that_of_plain_passes(checkpoint, sae, batch_tokens):
    found = loss_recovered(sae, checkpoint, PROMPTS, POINT, batch_tokens=batch_tokens)
    seen = []

    def watch(value):
        seen.append(value[0])
        return value

    clean, tokens = plain(checkpoint, watch)
    mean = torch.cat(seen).mean(dim=0)
    assert found.tokens == tokens
    assert found.clean == pytest.approx(clean, rel=1e-5)
    assert found.spliced == pytest.approx(plain(checkpoint, lambda v: sae(v))[0], rel=1e-5)
    assert found.zero == pytest.approx(plain(checkpoint, torch.zeros_like)[0], rel=1e-5)
    assert found.mean == pytest.approx(plain(checkpoint, lambda v: mean.expand_as(v))[0], rel=1e-5)
    assert len({found.clean, found.spliced, found.zero, found.mean}) == 4


def test_shares_are_signed_and_refused_where_there_is_nothing_to_recover():
    found = LossRecovered(clean=1.0, spliced=1.5, zero=3.0, mean=1.2, tokens=9)
    assert found.recovered_from_zero == pytest.approx(0.75)
    assert found.recovered_from_mean == pytest.approx(-1.5)  # worse than the mean: not clamped
    assert LossRecovered(clean=1.0, spliced=1.5, zero=0.9, mean=1.0, tokens=9).recovered_from_zero is None


def test_what_does_not_fit_is_refused(checkpoint, sae):
    with pytest.raises(UserError, match=r"trained at blocks\.1\.hook_resid_post, not at blocks\.0"):
        loss_recovered(sae, checkpoint, PROMPTS, HookPoint(0, "resid_post"))
    with pytest.raises(UserError, match="nothing to predict"):
        loss_recovered(sae, checkpoint, [[3], [4]], POINT)
    other = StandardSAE(StandardSAEConfig(d_in=8, d_sae=16))
    with pytest.raises(UserError, match=r"width 8, .* has 32"):
        loss_recovered(other, checkpoint, PROMPTS, POINT)
