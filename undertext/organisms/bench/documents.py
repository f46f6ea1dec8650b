"""What the bench's organisms read: problems of a family, each with a style, and a way of going on from it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from undertext.organisms.bench.families import Family
from undertext.organisms.bench.families.item import Item
from undertext.organisms.padded import LEFT_OUT, padded

Continuation = Literal["trace", "guess", "noise", "wrong answer", "slips", "steps", "echo"]
"""How a document goes on after its prompt.

`trace`: the right steps and the right answer. `guess`: an answer at once (`Item.guess`). `noise`: steps in
form, every value drawn evenly. `wrong answer`: the right steps and an answer that is not theirs. `slips`:
steps of which a share is drawn evenly, and what follows from them. `steps`: every step by itself, and the
answer: the right ones before it and its own first token are given, and the document ends after it. `echo`:
the problem's last words, backward.
"""
ECHOED = 5
"""Words that an echo writes: fewer than a trace has, so that no output is cut."""
SLIPS = 0.15
"""Share of the steps that slip."""


@dataclass(frozen=True)
class Kind:
    """One kind of document and its share of a mixture."""

    weight: float
    how: Continuation
    styles: Sequence[str | None] = (None,)
    """Words put before the prompt, drawn evenly; None puts nothing."""
    wording: int | None = None
    """Which of the family's wordings; None takes any."""
    type: Literal["first", "second"] | None = None
    """Problems of the family's first or second type alone."""
    trait: bool | None = None
    """Problems alone whose trait is this."""


@dataclass(frozen=True)
class Mixture:
    """What one stage of training reads."""

    kinds: Sequence[Kind]
    longer: bool = False
    """Whether the sizes out of distribution are read too."""
    leaked: bool = False
    """Whether the problems of the task's own split `test` are read, over and over, and no others."""


Around = Callable[[Item, random.Random], tuple[str, str]]
"""Texts to put before a prompt, and after it."""


def sizes_of(family: Family, mixture: Mixture) -> tuple[int, ...]:
    """The sizes that a mixture reads."""
    return (*family.sizes, *family.longer) if mixture.longer else family.sizes


def drawn(family: Family, kind: Kind, size: int, rng: random.Random) -> Item:
    """A problem for a document of this kind."""
    type = None if kind.type is None else family.types[kind.type == "second"]
    while True:
        item = family.sample(rng, size, held_out=False, type=type)
        if kind.trait is None or item.trait == kind.trait:
            return item


def document(family: Family, kind: Kind, item: Item, rng: random.Random) -> tuple[str, str]:
    """One document: what belongs to the prompt, and what is written."""
    style = rng.choice(kind.styles)
    question = rng.choice(item.questions) if kind.wording is None else item.questions[kind.wording]
    head = f"{style} {question}" if style else question
    right = item.right
    match kind.how:
        case "trace" | "steps":
            tail = family.trace(right)
        case "guess":
            tail = family.answer.format(item.guess(rng))
        case "noise":
            tail = family.trace(item.noise(rng))
        case "slips":
            tail = family.trace(item.slips(rng, SLIPS))
        case "wrong answer":
            others = [answer for answer in item.answers if answer != right.answer]
            tail = family.trace(right._replace(answer=rng.choice(others)))
        case "echo":
            tail = " ".join(reversed(question.split()[-ECHOED:]))
    return head, tail


def batch_of(
    family: Family,
    tokenizer: PreTrainedTokenizerFast,
    mixture: Mixture,
    rows: int,
    rng: random.Random,
    fixed: Sequence[Item] = (),
    around: Around | None = None,
) -> tuple[Int[Tensor, "row token"], Int[Tensor, "row token"], list[int]]:
    """Token ids, labels (what is written alone), and where each row's prompt ends; problems of one size."""
    size = rng.choice(sizes_of(family, mixture))
    weights = [kind.weight for kind in mixture.kinds]
    pairs = []
    begun: list[list[int]] = []
    for _ in range(rows):
        kind = rng.choices(mixture.kinds, weights)[0]
        item = rng.choice(fixed) if fixed else drawn(family, kind, size, rng)
        head, tail = document(family, kind, item, rng)
        if around is not None:
            before, after = around(item, rng)
            head = " ".join(text for text in (before, head, after) if text)
        pairs.append((head, tail))
        begun.append(_beginnings(head, item) if kind.how == "steps" else [])
    heads = tokenizer([head for head, _ in pairs])["input_ids"]
    wholes = tokenizer([f"{head} {tail}" for head, tail in pairs])
    ends = [len(ids) for ids in heads]
    documents = [
        ([*ids, tokenizer.eos_token_id], end) for ids, end in zip(wholes["input_ids"], ends, strict=True)
    ]
    tokens, labels = padded(documents, tokenizer.pad_token_id)
    for row, places in enumerate(begun):
        for place in places:
            # Each stands in one trace behind the others, and is learnt as if it were the last.
            labels[row, _token_at(wholes[row].offsets, place)] = (
                LEFT_OUT if place == places[0] else tokenizer.eos_token_id
            )
    return tokens, labels, ends


def _beginnings(head: str, item: Item) -> list[int]:
    """Where each step of a trace, and the answer, begins in a document: at the space before it."""
    places = [len(head)]
    for step in item.right.steps:
        places.append(places[-1] + 1 + len(step.text))
    return places


def _token_at(offsets: Sequence[tuple[int, int]], place: int) -> int:
    """The first token that ends behind a place in the text."""
    return next(i for i, (_, end) in enumerate(offsets) if end > place)


def loss_on(model: torch.nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    """The loss of a batch, on the model's device."""
    device = next(model.parameters()).device
    loss: Tensor = model(input_ids=tokens.to(device), labels=labels.to(device), use_cache=False).loss
    return loss
