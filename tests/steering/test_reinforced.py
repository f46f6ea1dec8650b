"""Training by reward: its gradient is a plain loop's, the reward rises, the checkpoint stays as it was."""

from typing import Any

import pytest
import torch

from tests.toys import SHAPES, SPECIAL, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, Intervention, UserError, generate
from undertext.steering import Practice, reinforce_vectors, reinforce_weights

PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; c = b + 1 ; so c ?"]
NORMS = torch.full((3,), 4.0)
ENDS = (2, 7)
DIGITS = tuple(map(str, range(10)))


def checkpoint(shape: Any = "llama", seed: int = 0) -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model(shape, len(tokenizer), seed=seed), tokenizer=tokenizer)


def digit(row: int, text: str, cut: bool = False) -> float:
    return float(text.split()[:1] != [] and text.split()[0] in DIGITS)


def uneven(row: int, text: str, cut: bool = False) -> float:
    """A reward of many values, which depends on prompt and text."""
    return (len(text) + 3 * row) % 5 / 4


@pytest.fixture
def gradients(monkeypatch) -> list[list[torch.Tensor]]:
    """The gradients of every update, before they are clipped."""
    seen: list[list[torch.Tensor]] = []
    clip = torch.nn.utils.clip_grad_norm_

    def spy(learnt: Any, most: float) -> Any:
        seen.append([each.grad.clone() for each in learnt])
        return clip(learnt, most)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
    return seen


def naive_loss(
    who: Checkpoint, ids: list[int], n: int, ended: bool, heat: float, shares: Any = None
) -> torch.Tensor:
    """-log p of a text's tokens after its first `n`, one forward pass, with Hugging Face's own hooks."""
    handles = []
    if shares is not None:
        inner: Any = who.model.base_model
        for block, share in zip(inner.h if hasattr(inner, "h") else inner.layers, shares, strict=True):

            def add(module: Any, args: Any, out: Any, by: Any = share * 4 / 32**0.5) -> Any:
                return (out[0] + by, *out[1:]) if isinstance(out, tuple) else out + by

            handles.append(block.register_forward_hook(add))
    logits = who.model(torch.tensor([ids])).logits[0] / heat
    for handle in handles:
        handle.remove()
    told = torch.log_softmax(logits, -1)
    loss = -sum((told[i - 1, ids[i]] for i in range(n, len(ids))), torch.zeros(()))
    return loss - told[-1, list(ENDS)].exp().sum().log() if ended else loss


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("what", ["weights", "vectors"])
def test_the_gradient_is_that_of_a_plain_loop(shape, what, gradients):
    who, heat, samples = checkpoint(shape), 1.5, 8
    settings: Any = who.model.generation_config
    settings.eos_token_id = list(ENDS)
    practice = Practice(6, ("=",), steps=1, samples=samples, prompts=3, temperature=heat, seed=2)
    if what == "weights":
        reinforce_weights(who, PROMPTS, uneven, practice)
        shares, learnt = None, list[torch.Tensor](who.model.parameters())
    else:
        reinforce_vectors(who, PROMPTS, uneven, NORMS, practice)
        shares = torch.zeros(3, 32, requires_grad=True)
        learnt = [shares]
    order = torch.randperm(3, generator=torch.Generator().manual_seed(2)).tolist()
    out = generate(
        who, [PROMPTS[i] for i in order], max_new_tokens=6, samples=samples, temperature=heat, seed=2_000_006
    )
    (equals,) = who.tokenizer.encode("=", add_special_tokens=False)
    texts = [text.split("=")[0] for text in out.texts]
    assert texts != out.texts
    total, endings = torch.zeros(()), 0
    for row, tokens in enumerate(out.tokens):
        ended = len(tokens) < 6 and equals not in tokens
        tokens = tokens[: [*tokens, equals].index(equals) + 1]
        endings += ended
        group = row // samples
        rewards = [uneven(order[group], texts[group * samples + k]) for k in range(samples)]
        mine = rewards.pop(row % samples)
        head = who.encode([PROMPTS[order[group]]])[0]
        loss = naive_loss(who, head + tokens, len(head), ended, heat, shares)
        total = total + (mine - sum(rewards) / len(rewards)) * loss / len(out.texts)
    assert endings
    wanted = torch.autograd.grad(total, learnt)
    assert any(bool(each.any()) for each in wanted)
    for mine_, theirs in zip(gradients[0], wanted, strict=True):
        torch.testing.assert_close(mine_, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("what", ["the end", "a digit"])
def test_on_average_it_is_the_gradient_of_the_expected_reward(what, gradients):
    """With one token to write, that is a closed form: a sum over the vocabulary."""
    who, prompt = checkpoint(), "so"
    special = [0, 1, 2, 3]  # one of them ends the text, the others stand for no text
    rewarded = torch.tensor(special if what == "the end" else who.encode([" ".join(DIGITS)])[0][1:])

    def reward(row: int, text: str, cut: bool = False) -> float:
        return float(text in ("", "<unk>", *SPECIAL.values())) if what == "the end" else digit(row, text)

    practice = Practice(1, steps=1, samples=1024, prompts=1, temperature=4.0)
    reinforce_vectors(who, [prompt], reward, NORMS, practice)
    shares = torch.zeros(3, 32, requires_grad=True)
    blocks: Any = who.model.base_model.layers
    handles = [
        block.register_forward_hook(lambda module, args, out, by=share: out + by * 4 / 32**0.5)
        for block, share in zip(blocks, shares, strict=True)
    ]
    told = torch.softmax(who.model(torch.tensor(who.encode([prompt]))).logits[0, -1] / 4.0, -1)
    for handle in handles:
        handle.remove()
    (wanted,) = torch.autograd.grad(-told[rewarded].sum(), [shares])
    found = gradients[0][0]
    assert torch.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.9
    assert float(found.norm() / wanted.norm()) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("what", ["weights", "vectors"])
def test_the_reward_rises_and_stays_when_nothing_is_sampled(what):
    who = checkpoint()
    practice = Practice(3, steps=40, samples=8, prompts=3, lr=1e-2 if what == "weights" else 0.3)
    if what == "weights":
        trained = reinforce_weights(who, PROMPTS, digit, practice)
        course = trained.course
        texts = generate(trained.checkpoint, PROMPTS, max_new_tokens=3).texts
    else:
        found = reinforce_vectors(who, PROMPTS, digit, NORMS, practice)
        course = found.course
        row = [Intervention(HookPoint(i, "resid_post"), found.directions[i], 1.0, "all") for i in range(3)]
        texts = generate(who, PROMPTS, max_new_tokens=3, interventions=[row] * 3).texts
    assert course.rewards[0] < 0.4
    assert course.rewards[-10:].mean() > (0.95 if what == "weights" else 0.75)
    assert sum(digit(0, text) for text in texts) >= (3 if what == "weights" else 2)
    assert course.rewards.shape == course.telling.shape == (40,)
    assert 0 < course.written <= 40 * 24 * 4


def test_the_checkpoint_stays_as_it_was_and_the_seed_decides():
    who = checkpoint()
    who.model.get_parameter("lm_head.weight").requires_grad_(False)
    before = {name: each.detach().clone() for name, each in who.model.named_parameters()}
    asking = {name: each.requires_grad for name, each in who.model.named_parameters()}
    fingerprint, done = who.fingerprint, list[int]()
    prints: list[str | bytes] = []
    for seed in (0, 1, 0):
        practice = Practice(3, steps=2, samples=4, prompts=2, seed=seed, progress=done.append)
        prints.append(reinforce_weights(who, PROMPTS, uneven, practice).checkpoint.fingerprint)
        vectors = reinforce_vectors(who, PROMPTS, uneven, NORMS, practice, layers=[0, 2])
        prints.append(vectors.directions.numpy().tobytes())
        assert not vectors.directions[1].any()
    assert prints[:2] == prints[4:]
    assert prints[0] != prints[2]
    assert prints[1] != prints[3]
    assert fingerprint not in prints
    assert done == [1] * 12
    for name, each in who.model.named_parameters():
        assert torch.equal(each, before[name])
        assert each.grad is None
        assert each.requires_grad == asking[name]
    assert not any(module._forward_hooks for module in who.model.modules())


@pytest.mark.parametrize("always", [0.0, 1.0, 0.1])
def test_where_all_rewards_are_equal_nothing_is_learnt(always):
    who = checkpoint()
    practice = Practice(3, steps=3, samples=3, prompts=3)
    trained = reinforce_weights(who, PROMPTS, lambda row, text, cut: always, practice)
    assert trained.course.telling.tolist() == [0.0] * 3
    assert trained.course.rewards.tolist() == pytest.approx([always] * 3)
    assert trained.checkpoint.fingerprint == who.fingerprint
    assert trained.checkpoint.model is not who.model


def test_texts_end_at_a_stop_string_whose_tokens_are_learnt_as_well(gradients):
    """A row that stops is one whose last token is the stop string's: to stop at once can be rewarded."""
    who = checkpoint()
    seen: list[str] = []

    def reward(row: int, text: str, cut: bool = False) -> float:
        seen.append(text)
        return float(text.strip() == "")

    stop = (";", "=", "a", "b", "c", "d", "e", "f")
    practice = Practice(4, stop, steps=20, samples=8, prompts=3, lr=1e-2)
    course = reinforce_weights(who, PROMPTS, reward, practice).course
    assert not any(each in text for text in seen for each in stop)
    assert max(len(text.split()) for text in seen) == 4
    assert course.rewards[0] < 0.7
    assert course.rewards[-3:].mean() > 0.95


def test_mistakes_are_named():
    who = checkpoint()
    with pytest.raises(UserError, match="samples must be at least 2, got 1"):
        Practice(3, samples=1)
    with pytest.raises(UserError, match=r"above 0, got 0 and 0\.1: what is sampled must differ"):
        Practice(3, temperature=0.0, lr=0.1)
    with pytest.raises(UserError, match="prompts to train on, got none"):
        reinforce_weights(who, [], digit, Practice(3))
    with pytest.raises(UserError, match="too long"):
        reinforce_weights(who, ["so " * 70], digit, Practice(3))
    with pytest.raises(UserError, match="its layers are 0 to 2"):
        reinforce_vectors(who, PROMPTS, digit, torch.ones(9), Practice(3), layers=[3])
