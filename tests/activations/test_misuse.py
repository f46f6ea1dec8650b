"""Plausible slips: each is refused where it is passed, in one line, and none is taken for something else."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from tests.checker import signatures_unchecked
from undertext import activations
from undertext.activations import UserError

# Calls that are wrong on purpose: their types are not to be checked.
_any: Any = activations
Branch = _any.Branch
HookPoint = _any.HookPoint
Intervention = _any.Intervention
RecordSpec = _any.RecordSpec
Threshold = _any.Threshold
TokenSpan = _any.TokenSpan
capture = _any.capture
generate = _any.generate
next_tokens = _any.next_tokens
score_branches = _any.score_branches

POINT = HookPoint(1, "resid_post")
V = torch.ones(32)
P = [[5, 6, 7]]


def acting(checkpoint, *given, **settings):
    return generate(
        checkpoint, P, max_new_tokens=2, interventions=[Intervention(*(given or (POINT, V, 1.0)), **settings)]
    )


SLIPS = {
    "at, a list": (
        lambda c: acting(c, at=[0, 1]),
        r"unknown gate \[0, 1\]: valid are last_prompt, .*tuple such as",
    ),
    "at, a number": (lambda c: acting(c, at=-1), "unknown gate -1"),
    "at, a range": (lambda c: acting(c, at=range(2)), r"unknown gate range\(0, 2\)"),
    "at, nothing": (lambda c: acting(c, at=()), r"unknown gate \(\)"),
    "at, no number": (lambda c: acting(c, at=(True,)), r"unknown gate \(True,\)"),
    "at, fractions": (lambda c: acting(c, at=(0.5,)), r"unknown gate \(0.5,\)"),
    "at, a name": (lambda c: acting(c, at="last"), "unknown gate 'last'"),
    "at, beyond": (lambda c: acting(c, at=(3,)), "there is no position 3"),
    "tokens, texts": (
        lambda c: acting(c, at="all", tokens=frozenset({"a"})),
        "tokens must be a frozenset of ids",
    ),
    "tokens, a set": (lambda c: acting(c, at="all", tokens={5}), "tokens must be a frozenset of ids"),
    "tokens, none": (lambda c: acting(c, at="all", tokens=frozenset()), "tokens must be a frozenset of ids"),
    "tokens, beyond": (
        lambda c: acting(c, at="all", tokens=frozenset({999})),
        "tokens hold token id 999, valid are",
    ),
    "pattern, empty": (
        lambda c: acting(c, at="all", pattern=""),
        "pattern must be a text, not empty, got ''",
    ),
    "dose, beyond floats": (lambda c: acting(c, POINT, V, 10**400), "must be a finite number, got 1000"),
    "dose, beyond words": (
        lambda c: acting(c, POINT, V, 10**5000),
        "must be a finite number, got a whole number of thousands of digits",
    ),
    "ids, truth values": (
        lambda c: capture(c, [[True, False]], [POINT], "last"),
        r"prompt 0 must be a text or a list of token ids, got \[True",
    ),
    "vector, numpy": (lambda c: acting(c, POINT, np.ones(32), 1.0), "must be a torch tensor of real numbers"),
    "vector, a row": (lambda c: acting(c, POINT, V[None], 1.0), r"takes a vector \[d_model\], got \[1, 32\]"),
    "dose, a tensor": (
        lambda c: acting(c, POINT, V, torch.tensor(1.0)),
        "dose at .* must be a finite number",
    ),
    "dose, NaN": (lambda c: acting(c, POINT, V, float("nan")), "dose at .* must be a finite number, got nan"),
    "dose, text": (lambda c: acting(c, POINT, V, "5"), "dose at .* must be a finite number, got '5'"),
    "decay": (lambda c: acting(c, decay=float("inf")), "decay at .* must be a finite number"),
    "first": (lambda c: acting(c, at="generated", first=1.5), "first must not be negative, a whole number"),
    "pattern": (lambda c: acting(c, pattern=re.compile("a")), "pattern must be a text"),
    "threshold": (lambda c: acting(c, threshold=0.5), "threshold must be a Threshold"),
    "bias": (
        lambda c: acting(c, threshold=Threshold(V, float("nan"))),
        "threshold's bias must be a finite number",
    ),
    "point, text": (lambda c: acting(c, "blocks.1.hook_resid_post", V, 1.0), "read with HookPoint.parse"),
    "layer": (lambda c: HookPoint(1.0, "resid_post"), "layer is a whole number, got 1.0"),
    "interventions, one": (
        lambda c: generate(c, P, max_new_tokens=2, interventions=Intervention(POINT, V, 1.0)),
        "in a list, got Intervention",
    ),
    "interventions, vectors": (lambda c: generate(c, P, max_new_tokens=2, interventions=[[V]]), "got Tensor"),
    "max_new_tokens": (lambda c: generate(c, P, max_new_tokens=2.5), "max_new_tokens must be at least 1"),
    "samples": (lambda c: generate(c, P, max_new_tokens=2, samples=True), "samples must be at least 1"),
    "temperature": (
        lambda c: generate(c, P, max_new_tokens=2, temperature=float("nan")),
        "temperature must be",
    ),
    "top_p": (lambda c: generate(c, P, max_new_tokens=2, temperature=1.0, top_p="0.9"), "top_p must be"),
    "seed": (lambda c: generate(c, P, max_new_tokens=2, seed=0.5), "expected one seed"),
    "stop, ids": (lambda c: generate(c, P, max_new_tokens=2, stop=[5]), "stop must be a list of strings"),
    "openings": (
        lambda c: generate(c, P, max_new_tokens=2, openings=["a"]),
        "openings must be a list of token ids",
    ),
    "record at": (lambda c: RecordSpec([POINT], "last"), "unknown gate 'last' to record at"),
    "record dtype": (lambda c: RecordSpec([POINT], dtype=torch.int8), "dtype must be a floating type"),
    "record one": (
        lambda c: generate(c, P, max_new_tokens=2, record=RecordSpec(POINT)),
        "expected a list of HookPoints",
    ),
    "positions, a number": (lambda c: capture(c, P, [POINT], -1), "positions must be 'last', 'all'"),
    "positions, numbers": (lambda c: capture(c, P, [POINT], [-1]), "got the number -1"),
    "positions, fractions": (lambda c: capture(c, P, [POINT], [[0.5]]), "a place is a whole number"),
    "positions, a span of text": (
        lambda c: capture(c, P, [POINT], [TokenSpan("a", 2)]),
        "a place is a whole number",
    ),
    "positions, a name for one": (
        lambda c: capture(c, P, [POINT], ["last"]),
        "expected a list of places or a span",
    ),
    "points, one": (lambda c: capture(c, P, POINT), "expected a list of HookPoints"),
    "points, names": (lambda c: capture(c, P, ["blocks.1.hook_resid_post"]), "expected a list of HookPoints"),
    "dtype": (lambda c: capture(c, P, [POINT], dtype=torch.int8), "dtype must be a floating type"),
    "device": (lambda c: capture(c, P, [POINT], device="gpu"), "device 'gpu' cannot be used here"),
    "batch_tokens": (lambda c: capture(c, P, [POINT], batch_tokens=0.5), "batch_tokens must be at least 1"),
    "ids, flat": (
        lambda c: capture(c, [5, 6, 7], [POINT]),
        "prompt 0 must be a text or a list of token ids, got 5",
    ),
    "ids, fractions": (
        lambda c: capture(c, [[5.7, 6.2]], [POINT]),
        "prompt 0 must be a text or a list of token ids",
    ),
    "ids, texts": (
        lambda c: capture(c, [["a", "b"]], [POINT]),
        "prompt 0 must be a text or a list of token ids",
    ),
    "prompts, a number": (lambda c: capture(c, 5, [POINT]), "expected a list of prompts, got int"),
    "k": (lambda c: next_tokens(c, P, 2.0), "k must be 1 to"),
    "branch, text": (lambda c: score_branches(c, P, [[Branch(1, "ab")]]), "tokens are ids, not texts"),
    "branches, ids": (
        lambda c: score_branches(c, P, [[[5, 6]]]),
        "branches of trunk 0 must be a list of Branch",
    ),
}


@pytest.mark.parametrize("slip", list(SLIPS))
def test_a_slip_is_refused_in_words(llama, slip):
    do, says = SLIPS[slip]
    with signatures_unchecked(), pytest.raises(UserError, match=says) as caught:
        do(llama)
    assert str(caught.value).isprintable()


def test_what_means_the_same_is_taken(llama):
    plain = capture(llama, P, [POINT])[POINT]
    with signatures_unchecked():
        for prompts in (torch.tensor(P), np.array(P), [torch.tensor(P[0])], [tuple(P[0])], [range(5, 8)]):
            assert torch.equal(capture(llama, prompts, [POINT])[POINT], plain)
        assert acting(llama, POINT, V, np.float32(1.0), at=(np.int64(0), -1)).touched == [2]
        assert generate(llama, P, max_new_tokens=2, seed=np.int64(3), temperature=1.0).tokens


@pytest.mark.parametrize("at", ["last_prompt", "prompt", "generated", "all", (0, -1), (-3,)])
def test_the_audit_goes_by_what_was_asked_for(llama, monkeypatch, at):
    # Wherever the hooks go by something else, it is found out.
    each = Intervention(POINT, V, 1.0, at)
    generate(llama, P, max_new_tokens=3, interventions=[each])
    monkeypatch.setattr(
        Intervention,
        "prompt_indices",
        lambda self, length: {"generated": (0, 1, 2), (0, -1): (1,)}.get(at, (1, 2)),
    )
    monkeypatch.setattr(Intervention, "on_generated", property(lambda self: at == "prompt"))
    with pytest.raises(RuntimeError, match="expected to act at"):
        generate(llama, P, max_new_tokens=3, interventions=[each])
