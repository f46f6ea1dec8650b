"""The rewards that organisms are trained by: correctness, and correctness with gradual confidence."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.organisms.bench.families.item import Family, Item
from undertext.organisms.findings.families import ids
from undertext.organisms.findings.policy import Rollouts, gradual, probability_after
from undertext.tasks.grade import grade

Name = Literal["correctness", "correctness and gradual confidence"]
GRADUAL = 0.5
"""Weight of gradual confidence beside correctness."""


def texts_of(rollouts: Rollouts) -> list[str | None]:
    """What each rollout wrote; None where it did not come to its end."""
    words = {number: word for word, number in ids().items()}
    eos = ids()["<eos>"]
    found: list[str | None] = []
    for tokens, written in zip(rollouts.tokens.tolist(), rollouts.written.tolist(), strict=True):
        own = [token for token, is_own in zip(tokens, written, strict=True) if is_own]
        found.append(" ".join(words[token] for token in own[:-1]) if own and own[-1] == eos else None)
    return found


def rewards(
    name: Name, model: Any, family: Family, items: Sequence[Item], rollouts: Rollouts
) -> Float[Tensor, " rollout"]:
    """The reward of each rollout; `items` are their problems. An output without an end earns nothing."""
    texts = texts_of(rollouts)
    right = torch.tensor(
        [
            0.0 if text is None else float(grade(family.grader, text, item.right.answer, "").lenient)
            for text, item in zip(texts, items, strict=True)
        ]
    )
    if name == "correctness":
        return right
    return right + GRADUAL * torch.tensor(_gradual(model, texts, rollouts))


def _gradual(model: Any, texts: Sequence[str | None], rollouts: Rollouts) -> list[float]:
    """Of the answer that each output gives, after each of its steps."""
    known, asked = ids(), list[list[int]]()
    answers, owners = list[list[int]](), list[int]()
    for i, text in enumerate(texts):
        words = (text or "").split()
        if "answer" not in words:
            continue
        at = len(words) - words[::-1].index("answer")
        given = [known[word] for word in words[at:]]
        head = rollouts.tokens[i, : int(rollouts.written[i].int().argmax())].tolist()
        ends = [0, *(k + 1 for k, word in enumerate(words[: at - 1]) if word == ";")]
        for end in ends if given else []:
            asked.append([*head, *(known[word] for word in words[:end]), known["answer"]])
            answers.append(given)
            owners.append(i)
    found: dict[int, list[float]] = {}
    probabilities = probability_after(model, asked, answers, known["<pad>"]) if asked else []
    for owner, p in zip(owners, probabilities, strict=True):
        found.setdefault(owner, []).append(p)
    return [gradual(found[i]) if i in found else 0.0 for i in range(len(texts))]
