"""The logit lens against a plain loop; the tuned lens trained and refused."""

import random
from typing import Any

import pytest
import torch

from tests.toys import WORDS, Shape, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, UserError, capture
from undertext.probes import (
    TunedLens,
    lens_kl,
    lens_log_probs,
    lens_logits,
    train_tuned_lens,
)


def toy(shape: Shape = "llama", **sizes: int) -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model(shape, len(tokenizer), **sizes), tokenizer=tokenizer)


def texts(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(4, 12))) for _ in range(n)]


def random_lens(checkpoint: Checkpoint, seed: int = 0) -> TunedLens:
    draw = torch.Generator().manual_seed(seed)
    n, d = checkpoint.n_layers, checkpoint.d_model
    weight = 0.1 * torch.randn(n, d, d, generator=draw)
    return TunedLens(weight, torch.randn(n, d, generator=draw), checkpoint.name)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return toy()


@pytest.fixture(scope="module")
def trained(checkpoint) -> TunedLens:
    return train_tuned_lens(checkpoint, texts(200, 0), steps=60, lr=3e-3, batch_tokens=256, seed=1)


@pytest.mark.parametrize("shape", ["llama", "gpt2", "qwen2"])
@pytest.mark.parametrize("tuned", [False, True])
def test_every_layer_reads_as_by_hand(shape, tuned):
    checkpoint = toy(shape)
    lens = random_lens(checkpoint) if tuned else None
    prompts, n = texts(5, 3), checkpoint.n_layers
    points = [HookPoint(0, "resid_pre"), *(HookPoint(layer, "resid_post") for layer in range(n))]
    captured = capture(checkpoint, prompts, points, "all")
    found = lens_logits(checkpoint, captured, lens)
    model: Any = checkpoint.model
    inner = model.transformer if shape == "gpt2" else model.model
    norm = inner.ln_f if shape == "gpt2" else inner.norm
    for i in range(n + 1):
        hidden = captured[points[i]]
        if lens is not None and i < n:
            hidden = hidden + hidden @ lens.weight[i].T + lens.bias[i]
        with torch.no_grad():
            by_hand = norm(hidden) @ checkpoint.model.get_output_embeddings().weight.T
        torch.testing.assert_close(found[i], by_hand, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        own = [checkpoint.model(torch.tensor([ids])).logits[0] for ids in checkpoint.encode(prompts)]
    torch.testing.assert_close(found[-1], torch.cat(own), rtol=1e-4, atol=1e-4)


def test_chosen_tokens_in_pieces_are_the_softmax_of_all(checkpoint, monkeypatch):
    points = [HookPoint(layer, "resid_post") for layer in range(checkpoint.n_layers)]
    captured = capture(checkpoint, texts(6, 4), points, "all")
    whole = lens_logits(checkpoint, captured).log_softmax(-1)
    monkeypatch.setattr("undertext.probes.lens.LOGITS", 7 * checkpoint.d_vocab)
    tokens = torch.tensor([9, 4, 30])
    found = lens_log_probs(checkpoint, points, captured.activations, tokens)
    torch.testing.assert_close(found, whole[..., tokens], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_training_beats_the_logit_lens_at_every_layer_on_held_out_texts(seed):
    checkpoint = toy("gpt2" if seed else "llama", seed=seed)
    lens = train_tuned_lens(checkpoint, texts(200, 0), steps=100, lr=3e-3, batch_tokens=256)
    held_out = texts(60, 77)
    before, after = lens_kl(checkpoint, held_out), lens_kl(checkpoint, held_out, lens)
    assert before.shape == (checkpoint.n_layers,)
    assert (after < 0.8 * before).all(), (before, after)


def test_kl_is_that_of_a_plain_loop(checkpoint):
    lens, total, count = random_lens(checkpoint), torch.zeros(checkpoint.n_layers), 0
    some = texts(7, 5)
    for text in some:
        ids = torch.tensor(checkpoint.encode([text]))
        with torch.no_grad():
            out = checkpoint.model(ids, output_hidden_states=True)
            final = torch.distributions.Categorical(logits=out.logits[0])
            for i in range(checkpoint.n_layers):
                hidden = out.hidden_states[i][0]
                hidden = hidden + hidden @ lens.weight[i].T + lens.bias[i]
                logits = checkpoint.model.lm_head(checkpoint.model.model.norm(hidden))
                read = torch.distributions.Categorical(logits=logits)
                total[i] += torch.distributions.kl_divergence(final, read).sum()
        count += ids.shape[1]
    torch.testing.assert_close(
        lens_kl(checkpoint, some, lens, batch_tokens=20), total / count, rtol=1e-4, atol=1e-5
    )


def test_the_same_seed_gives_the_same_lens_and_the_model_is_untouched(checkpoint, trained):
    before = checkpoint.model.get_output_embeddings().weight.clone()
    again = train_tuned_lens(checkpoint, texts(200, 0), steps=60, lr=3e-3, batch_tokens=256, seed=1)
    assert torch.equal(again.weight, trained.weight)
    other = train_tuned_lens(checkpoint, texts(200, 0), steps=2, batch_tokens=256, seed=2)
    assert not torch.equal(other.weight, trained.weight)
    assert torch.equal(before, checkpoint.model.get_output_embeddings().weight)
    assert all(parameter.grad is None for parameter in checkpoint.model.parameters())


def test_gradients_in_pieces_are_those_of_the_whole(checkpoint, monkeypatch):
    options: dict[str, Any] = {"steps": 3, "lr": 1e-3, "batch_tokens": 200}
    whole = train_tuned_lens(checkpoint, texts(20, 0), **options)
    monkeypatch.setattr("undertext.probes.lens_training.LOGITS", 11 * checkpoint.d_vocab)
    # Adam's first steps are lr * sign(gradient): where a gradient nearly cancels, rounding shows.
    pieces = train_tuned_lens(checkpoint, texts(20, 0), **options)
    torch.testing.assert_close(whole.bias, pieces.bias, rtol=1e-3, atol=1e-5)


def test_steps_are_counted(checkpoint):
    counted: list[int] = []
    train_tuned_lens(checkpoint, texts(3, 0), steps=4, progress=counted.append)
    assert counted == [1, 1, 1, 1]


def test_another_model_is_refused(trained):
    wider = toy(d_model=64)
    with pytest.raises(UserError, match="layers 3 against 2"):
        trained.check(toy(n_layers=2))
    captured = capture(wider, ["a"], [HookPoint(0, "resid_post")])
    with pytest.raises(UserError, match="width 32 against 64"):
        lens_logits(wider, captured, trained)
    with pytest.raises(UserError, match=r"expected activations \[.., 32\]"):
        trained.translate(HookPoint(0, "resid_post"), torch.zeros(2, 64))


def test_mistakes(checkpoint, trained):
    with pytest.raises(UserError, match=r"not blocks\.0\.attn\.hook_z"):
        trained.translate(HookPoint(0, "z"), torch.zeros(1, 32))
    with pytest.raises(UserError, match="blocks 0 to 2"):
        trained.translate(HookPoint(3, "resid_pre"), torch.zeros(1, 32))
    with pytest.raises(UserError, match="needs texts"):
        train_tuned_lens(checkpoint, [])
    with pytest.raises(UserError, match="needs texts"):
        lens_kl(checkpoint, [])
    with pytest.raises(UserError, match="steps"):
        train_tuned_lens(checkpoint, ["a"], steps=0)
    with pytest.raises(UserError, match="tokens from 0"):
        lens_log_probs(checkpoint, [HookPoint(0, "resid_post")], torch.zeros(1, 2, 32), torch.tensor([-1]))
    with pytest.raises(UserError, match="expected activations"):
        lens_log_probs(checkpoint, [HookPoint(0, "resid_post")], torch.zeros(2, 2, 32), torch.tensor([1]))
