"""Learning by reward: the gradient against one worked out by hand, sampling, and the rewards."""

import math
from types import SimpleNamespace

import pytest
import torch

from undertext.organisms.bench.families.item import Item, Said, Work
from undertext.organisms.findings.families import FAMILIES, encoded, ids
from undertext.organisms.findings.policy import Rollouts, gradual, policy_loss, probability_after, sample
from undertext.organisms.findings.rewards import GRADUAL, rewards, texts_of

PAD, EOS = 0, 2


class Bigram(torch.nn.Module):
    """A policy whose next token depends on the last one alone: one row of logits a token."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(logits.clone())

    def forward(
        self, input_ids: torch.Tensor, past_key_values: object = None, use_cache: bool = False
    ) -> object:
        return SimpleNamespace(logits=self.logits[input_ids], past_key_values=None)


def test_one_step_is_the_gradient_worked_out_by_hand():
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    policy = Bigram(logits)
    # Two outputs after the prompt 1: "3 2" and "2", the second padded.
    rollouts = Rollouts(
        torch.tensor([[1, 3, EOS], [1, EOS, PAD]]), torch.tensor([[False, True, True], [False, True, False]])
    )
    advantage = torch.tensor([0.5, -1.5])
    policy_loss(policy, rollouts, advantage).backward()
    # d log softmax(row)[chosen] / d row = onehot(chosen) - softmax(row); the loss is minus the mean.
    wanted = torch.zeros(4, 4)
    for weight, pairs in ((0.5, [(1, 3), (3, EOS)]), (-1.5, [(1, EOS)])):
        for last, chosen in pairs:
            for token in range(4):
                p = math.exp(logits[last, token]) / sum(math.exp(each) for each in logits[last])
                wanted[last, token] -= weight * ((token == chosen) - p) / 2
    assert policy.logits.grad is not None
    torch.testing.assert_close(policy.logits.grad, wanted)


def test_the_expected_gradient_is_that_of_the_expected_reward():
    policy = Bigram(torch.zeros(4, 4))
    made = sample(
        policy, torch.tensor([[1]]), 20_000, 1, eos=EOS, pad=PAD, generator=torch.Generator().manual_seed(0)
    )
    right = (made.tokens[:, 1] == 3).float()
    policy_loss(policy, made, right - right.mean()).backward()
    # Of the reward p(3) = 1/4: its gradient with respect to the logits is p(3) (onehot - p).
    wanted = torch.tensor([-1.0, -1.0, -1.0, 3.0]) / 16
    assert policy.logits.grad is not None
    torch.testing.assert_close(-policy.logits.grad[1], wanted, atol=0.01, rtol=0)


def test_outputs_are_sampled_as_often_as_they_are_likely_and_end_once():
    logits = torch.full((4, 4), -30.0)
    logits[1, 3], logits[1, EOS] = math.log(3), 0.0
    logits[3, EOS] = 0.0
    made = sample(
        Bigram(logits), torch.tensor([[1], [1]]), 2000, 5, eos=EOS, pad=PAD,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert made.tokens.shape == (4000, 3)
    longer = made.tokens[:, 1] == 3
    assert abs(float(longer.float().mean()) - 0.75) < 0.03
    assert bool((made.tokens[longer, 2] == EOS).all())
    assert bool((made.tokens[~longer, 2] == PAD).all())
    assert made.written[:, 1:].sum(1).tolist() == [2 if each else 1 for each in longer.tolist()]
    assert not made.written[:, 0].any()


def test_the_same_generator_samples_the_same():
    policy = Bigram(torch.zeros(4, 4))
    both = [
        sample(
            policy, torch.tensor([[1]]), 8, 6, eos=EOS, pad=PAD, generator=torch.Generator().manual_seed(seed)
        ).tokens
        for seed in (3, 3)
    ]
    assert torch.equal(*both)


def test_the_probability_of_an_answer_is_the_product_over_its_tokens():
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(2))
    p = logits.softmax(-1)
    found = probability_after(Bigram(logits), [[1], [3, 1]], [[2, 3], [0]], PAD)
    assert found == pytest.approx([float(p[1, 2] * p[2, 3]), float(p[1, 0])])


def test_gradual_confidence_by_hand():
    assert gradual([0.0, 0.5, 1.0]) == 0.75  # 1 less the mean of 0 and 0.5
    assert gradual([1.0, 1.0, 1.0]) == 0.0  # certain from the start
    assert gradual([0.2, 0.2]) == 0.0  # never certain
    assert gradual([0.9]) == 0.0  # no step
    assert gradual([1.0, 0.0]) == -1.0


class Sure(torch.nn.Module):
    """Gives probability 1/2 to `3`, and the rest to nothing in particular, wherever it is asked."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> object:
        p = torch.full((len(ids()),), 0.5 / (len(ids()) - 1))
        p[ids()["3"]] = 0.5
        return SimpleNamespace(logits=p.log().expand(*input_ids.shape, -1))


def rollouts_of(texts: list[str], ended: list[bool]) -> Rollouts:
    head = [ids()["<bos>"], *encoded("find a :")]
    rows = [
        [*head, *encoded(text), *([ids()["<eos>"]] if end else [])]
        for text, end in zip(texts, ended, strict=True)
    ]
    width = max(map(len, rows))
    tokens = torch.tensor([[*row, *[ids()["<pad>"]] * (width - len(row))] for row in rows])
    written = torch.tensor([[len(head) <= i < len(row) for i in range(width)] for row in rows])
    return Rollouts(tokens, written)


def item(answer: str) -> Item:
    work = Work((Said("a = 3 ;", None),), answer)
    return Item("a = 3 ;", ("find a :",), "add", 2, lambda _: work, tuple("0123456"), tuple("0123456"), True)


def test_only_right_answers_that_come_to_their_end_are_rewarded():
    made = rollouts_of(
        ["a = 3 ; answer 3", "a = 3 ; answer 4", "a = 3 ; answer 3", "a = 3 ;"], [True, True, False, True]
    )
    assert texts_of(made) == ["a = 3 ; answer 3", "a = 3 ; answer 4", None, "a = 3 ;"]
    found = rewards("correctness", Sure(), FAMILIES["chain"], [item("3")] * 4, made)
    assert found.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_gradual_confidence_adds_what_the_policy_says_of_its_own_answer():
    class Late(Sure):
        """Certain of `3` once a step stands before, and of nothing at first."""

        def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> object:
            logits = torch.zeros(*input_ids.shape, len(ids()))
            after = (input_ids == ids()[";"]).cumsum(1) > 0
            logits[..., ids()["3"]] = torch.where(after, 30.0, 0.0)
            return SimpleNamespace(logits=logits)

    made = rollouts_of(["a = 3 ; answer 3", "answer 3"], [True, True])
    found = rewards("correctness and gradual confidence", Late(), FAMILIES["chain"], [item("3")] * 2, made)
    assert found.tolist() == pytest.approx([1 + GRADUAL * (1 - 1 / len(ids())), 1.0], abs=1e-4)
