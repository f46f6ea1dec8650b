"""Reinforcement learning of small organisms: sampled outputs, a named reward, and the policy's gradient.

REINFORCE (Williams 1992) with the mean reward of the problem's other samples as baseline, as in
`undertext.steering.reinforced`, which trains on a task's fixed prompts; here problems are drawn without end,
and a reward may ask the policy itself. Outputs are sampled from the policy that is then moved, at temperature
1, and each batch moves it once: no ratio, no clipping, no reference model.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Rollouts(NamedTuple):
    """Sampled outputs."""

    tokens: Int[Tensor, "rollout token"]
    """Prompt and output; padding after the output's end."""
    written: Bool[Tensor, "rollout token"]
    """Which tokens the policy wrote, the end of the output included."""


@torch.no_grad()
def sample(
    model: Any,
    prompts: Int[Tensor, "row token"],
    samples: int,
    room: int,
    *,
    eos: int,
    pad: int,
    generator: torch.Generator,
) -> Rollouts:
    """So many outputs of each prompt, those of one prompt next to one another; prompts are of one length."""
    tokens = prompts.repeat_interleave(samples, 0)
    head = tokens.shape[1]
    ended = torch.zeros(len(tokens), dtype=torch.bool)
    written = [torch.zeros(len(tokens), head, dtype=torch.bool)]
    cache, fed = None, tokens
    for _ in range(room):
        out = model(input_ids=fed, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        drawn = torch.multinomial(out.logits[:, -1].softmax(-1), 1, generator=generator)[:, 0]
        drawn = torch.where(ended, pad, drawn)
        written.append(~ended[:, None])
        ended = ended | (drawn == eos)
        fed = drawn[:, None]
        tokens = torch.cat([tokens, fed], 1)
        if ended.all():
            break
    return Rollouts(tokens, torch.cat(written, 1))


def policy_loss(model: Any, rollouts: Rollouts, advantage: Float[Tensor, " rollout"]) -> Tensor:
    """Its gradient is that of the policy: `-mean_i A_i sum_t grad log p(token t of output i)`."""
    logits = model(input_ids=rollouts.tokens, use_cache=False).logits[:, :-1]
    chosen = logits.log_softmax(-1).gather(-1, rollouts.tokens[:, 1:, None])[..., 0]
    sums = (chosen * rollouts.written[:, 1:]).sum(1)
    return -(advantage * sums).mean()


@torch.no_grad()
def probability_after(
    model: Any, texts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], pad: int
) -> list[float]:
    """Probability of each answer right after each text, all its tokens together."""
    rows = [[*text, *answer] for text, answer in zip(texts, answers, strict=True)]
    width = max(map(len, rows))
    tokens = torch.full((len(rows), width), pad)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
    logs = model(input_ids=tokens, use_cache=False).logits[:, :-1].log_softmax(-1)
    chosen = logs.gather(-1, tokens[:, 1:, None])[..., 0]
    return [
        float(chosen[i, len(text) - 1 : len(text) + len(answer) - 1].sum().exp())
        for i, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]


def gradual(p: Sequence[float]) -> float:
    """How gradually confidence comes: its last value less the mean of those before; 0 without a step.

    Of p_0, ... p_T, the probabilities of the answer given after so many steps. An answer that is certain from
    the start earns nothing, nor does one that is never certain. The idea is that of arXiv 2605.24396, whose
    own formula was not at hand.
    """
    return p[-1] - sum(p[:-1]) / (len(p) - 1) if len(p) > 1 else 0.0
