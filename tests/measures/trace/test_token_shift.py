"""Ranks of written tokens under another model: against a bare pass over each text."""

import pytest
import torch

from tests.trails_task import problem, toy
from undertext.activations.generation import generate
from undertext.measures.trace.token_shift import KINDS, Shift, shift_of, shifted_words, token_shift
from undertext.tasks.spans import join

OUTPUTS = ["a = 3 ; answer 3", " 7", "", "so so so find a"]


def test_ranks_are_those_of_a_bare_pass():
    base = toy()
    problems = [problem(k) for k in range(len(OUTPUTS))]
    found = token_shift(base, problems, OUTPUTS)
    for asked, output, words, ranks in zip(problems, OUTPUTS, found.words, found.ranks, strict=True):
        head = len(base.encode([asked.prompt])[0])
        ids = base.encode([join(asked.prompt, output.strip()) if output else asked.prompt])[0]
        assert words == output.split()
        with torch.inference_mode():
            logits = base.model(torch.tensor([ids])).logits[0]
        wanted = [int((logits[i - 1] > logits[i - 1, ids[i]]).sum()) + 1 for i in range(head, len(ids))]
        assert ranks == wanted


@pytest.mark.parametrize(
    ("rank", "kind"), [(1, "unshifted"), (2, "marginal"), (3, "marginal"), (4, "shifted"), (9, "shifted")]
)
def test_kinds_of_ranks(rank, kind):
    assert shift_of(rank) == kind


def test_the_case_of_the_docs():
    found = Shift([["so", "4", "so", "."], []], [[1, 2, 5, 1], []])
    assert found.shares(0) == dict(zip(KINDS, (0.5, 0.25, 0.25), strict=True))
    assert found.shares(1) is None
    assert shifted_words(found) == [("so", 2, 1, 3.0), (".", 1, 0, 1.0), ("4", 1, 0, 2.0)]


def test_what_a_model_writes_greedily_is_unshifted_under_itself():
    base, asked = toy(), problem(3)
    (text,) = generate(base, [asked.prompt], max_new_tokens=6).texts
    assert set(token_shift(base, [asked], [text]).ranks[0]) == {1}


def test_an_output_longer_than_the_context_is_read_as_far_as_it_goes():
    found = token_shift(toy(n_ctx=64), [problem(1)], ["so " * 100])
    assert len(found.ranks[0]) == 64 - len(toy().encode([problem(1).prompt])[0])
