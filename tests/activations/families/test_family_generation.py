"""Greedy generation of each family against Hugging Face's `generate`, alone and padded."""

import copy
from functools import cache
from typing import Any

import pytest
import torch

from tests.activations.families.by_hand import TEXTS, WINDOWS, bare
from tests.activations.reference import telling_token
from tests.toys import FAMILIES
from undertext.activations import Checkpoint, generate
from undertext.activations.quiet import quiet

STEPS = 12


def greedy(checkpoint: Checkpoint, prompts: list[list[int]]) -> list[list[int]]:
    """What Hugging Face writes after a batch, padded on the left, up to an end token."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
    model: Any = checkpoint.model
    with quiet():
        out = model.generate(ids, attention_mask=mask, max_new_tokens=STEPS, do_sample=False, pad_token_id=0)
    rows = [row[width:].tolist() for row in out]
    return [row[: row.index(2)] if 2 in row else row for row in rows]


@cache
def alone(checkpoint: Checkpoint) -> list[list[int]]:
    return [tokens for ids in checkpoint.encode(TEXTS) for tokens in greedy(checkpoint, [ids])]


def test_alone_it_writes_what_hugging_face_writes(exact):
    assert generate(exact, TEXTS, max_new_tokens=STEPS, batch_size=1).tokens == alone(exact)


@pytest.mark.slow
@pytest.mark.parametrize("name", [family for family in FAMILIES if family not in WINDOWS])
def test_alone_in_bfloat16_too(zoo, name):
    """Token for token, since the computation has the same shape.

    With a window it has not: Hugging Face drops what is out of sight, we keep it behind a mask.
    """
    member = zoo.load(name, torch.bfloat16)
    assert generate(member, TEXTS, max_new_tokens=STEPS, batch_size=1).tokens == alone(member)


@pytest.mark.parametrize("batch_size", [3, 100])
def test_in_batches_too(exact, batch_size):
    expected = alone(exact)
    assert generate(exact, TEXTS, max_new_tokens=STEPS, batch_size=batch_size).tokens == expected
    assert greedy(exact, exact.encode(TEXTS)) == expected
    assert len({tuple(row) for row in expected}) > 4  # rows that say the same would show little


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 100])
def test_in_bfloat16_any_batch_parts_from_it_only_at_near_ties(zoo, family, widened, batch_size):
    """Where the two first write different tokens, bfloat16 cannot tell which is the likelier.

    Its roundings are measured on the very text: how far its logits, of the text alone, are from those of
    the same weights computing in float32.
    """
    rounded = zoo.load(family, torch.bfloat16)
    found = generate(rounded, TEXTS, max_new_tokens=STEPS, batch_size=batch_size).tokens
    same = 0
    for ids, ours, theirs in zip(rounded.encode(TEXTS), found, alone(rounded), strict=True):
        same += ours == theirs
        pairs = enumerate(zip([*ours, 2], [*theirs, 2], strict=False))
        parting = next((at for at, (mine, other) in pairs if mine != other), None)
        if parting is None:
            continue
        text = torch.tensor([[*ids, *theirs[:parting]]])
        true, seen = (bare(model, text).logits[0, -1].double() for model in (widened, rounded))
        gap = abs(true[[*ours, 2][parting]] - true[[*theirs, 2][parting]])
        assert gap <= 2 * (true - seen).abs().max()
    assert same > len(TEXTS) / 2


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=[pytest.mark.slow] * (family not in ("llama", "gemma2", "pythia")))
        for family in FAMILIES
    ],
    indirect=True,
)
def test_rows_that_take_the_places_of_others_write_what_they_write_alone(exact):
    """Each family counts positions and hides padding in its own way."""
    options: Any = {"max_new_tokens": STEPS, "samples": 3, "temperature": 1.5, "seed": 5}
    model = copy.deepcopy(exact.model)
    drawn = generate(exact, TEXTS, **options).tokens
    model.generation_config.eos_token_id = [2, telling_token(drawn)]
    ending = Checkpoint.load(model, tokenizer=exact.tokenizer)
    single = generate(ending, TEXTS, batch_size=1, **options)
    assert len(set(single.produced)) > 2
    for batch_size in (2, 5):
        assert generate(ending, TEXTS, batch_size=batch_size, **options) == single
