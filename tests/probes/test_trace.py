"""Readings along a trace: each position by hand, and when the answer was known before it was said."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.toys import byte_tokenizer, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, UserError
from undertext.probes import LogisticProbe, TraceReading, lens_reader, probe_reader, read_traces

POINTS = [HookPoint(layer, "resid_post") for layer in (0, 2)]
PROMPTS = ["find a :", "b = 3 ; find b :", "so c ?"]
TRACES = [" a = 1 ; answer 1", " b = 2 ;", " c = 7 ; c = 3 ; answer 7 ; a"]
SAID = [TRACES[0].rindex("1"), None, TRACES[2].index("7")]
ANSWERS = ["1", "2", "7"]


@pytest.fixture(scope="module", params=["words", "bytes"])
def checkpoint(request) -> Checkpoint:
    tokenizer = word_tokenizer() if request.param == "words" else byte_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer), seed=3), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def probe(checkpoint) -> LogisticProbe:
    draw = torch.Generator().manual_seed(0)
    X = torch.randn(2, 90, checkpoint.d_model, generator=draw)
    return LogisticProbe(C=0.1).fit(X, torch.arange(90) % 3)


def hidden(checkpoint, text: str) -> torch.Tensor:
    """[point, token, d] by hooks of the test's own."""
    seen: list[torch.Tensor] = []
    handles = [
        checkpoint.model.model.layers[i].register_forward_hook(lambda m, a, out: seen.append(out))
        for i in (0, 2)
    ]
    with torch.no_grad():
        checkpoint.model(torch.tensor(checkpoint.encode([text])))
    for handle in handles:
        handle.remove()
    return torch.stack([each[0] for each in seen])


def test_every_position_reads_as_by_hand(checkpoint, probe):
    found = read_traces(checkpoint, PROMPTS, TRACES, POINTS, probe_reader(probe), [0, 1, 2], SAID)
    for i, (prompt, trace) in enumerate(zip(PROMPTS, TRACES, strict=True)):
        before = len(checkpoint.encode([prompt + " "])[0])  # a token that is only a space is the prompt's
        ids = checkpoint.encode([prompt + trace])[0]
        assert found.tokens[i] == ids[before:]
        X = hidden(checkpoint, prompt + trace)
        assert found.probability[i].shape == (len(ids) - before + 1, 2)
        for k in range(len(ids) - before + 1):
            shares = probe.predict_proba(X[:, before - 1 + k : before + k])[:, 0]
            torch.testing.assert_close(found.probability[i][k], shares[:, i], rtol=1e-4, atol=1e-5)
            assert found.right[i][k].tolist() == (shares.argmax(-1) == i).tolist()


def test_what_the_text_says_is_found_among_its_tokens(checkpoint, probe):
    found = read_traces(checkpoint, PROMPTS, TRACES, POINTS, probe_reader(probe), [0, 1, 2], SAID)
    assert found.said[1] is None
    for i in (0, 2):
        said = found.said[i]
        assert said is not None
        written = checkpoint.decode(found.tokens[i][: said + 1])
        assert written.strip() == TRACES[i][: (SAID[i] or 0) + 1].strip()


@pytest.mark.parametrize("among", ["answers", "vocabulary"])
def test_the_last_layers_logit_lens_is_the_models_next_token(checkpoint, among):
    tokens = torch.tensor([checkpoint.encode([f"a {answer}"])[0][-1] for answer in ANSWERS])
    reader = lens_reader(checkpoint, POINTS, tokens, among=among)
    found = read_traces(checkpoint, PROMPTS, TRACES, POINTS, reader, [0, 1, 2], SAID)
    for i, (prompt, trace) in enumerate(zip(PROMPTS, TRACES, strict=True)):
        with torch.no_grad():
            logits = checkpoint.model(torch.tensor(checkpoint.encode([prompt + trace]))).logits[0]
        logits = logits[-len(found.probability[i]) :]
        whole = logits.softmax(-1)[:, tokens]
        shares = whole / whole.sum(-1, keepdim=True) if among == "answers" else whole
        torch.testing.assert_close(found.probability[i][:, 1], shares[:, i], rtol=1e-4, atol=1e-6)
        assert found.right[i][:, 1].tolist() == (whole.argmax(-1) == i).tolist()


def test_problems_are_read_in_pieces(checkpoint, probe, monkeypatch):
    whole = read_traces(checkpoint, PROMPTS, TRACES, POINTS, probe_reader(probe), [0, 1, 2], SAID)
    monkeypatch.setattr("undertext.probes.trace.TOGETHER", 2)
    counted: list[int] = []
    pieces = read_traces(
        checkpoint, PROMPTS, TRACES, POINTS, probe_reader(probe), [0, 1, 2], SAID, progress=counted.append
    )
    assert counted == [2, 1]
    for one, other in zip(whole.probability, pieces.probability, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_one_probe_reads_every_point(checkpoint, probe):
    X = torch.randn(60, checkpoint.d_model, generator=torch.Generator().manual_seed(1))
    single = LogisticProbe(C=0.1).fit(X, torch.arange(60) % 3)
    stacked = LogisticProbe(C=0.1).fit(torch.stack([X, X]), torch.arange(60) % 3)
    args = ([0, 1, 2], SAID)
    one = read_traces(checkpoint, PROMPTS, TRACES, POINTS, probe_reader(single), *args)
    two = read_traces(checkpoint, PROMPTS, TRACES, POINTS, probe_reader(stacked), *args)
    torch.testing.assert_close(one.probability[2], two.probability[2], rtol=1e-4, atol=1e-5)


def made(rights: list[str], said: list[int | None]) -> TraceReading:
    """Rightness written as a string of 0 and 1, one a position."""
    columns = [torch.tensor([[c == "1"] for c in each]) for each in rights]
    tokens = [[0] * (len(each) - 1) for each in rights]
    return TraceReading((POINTS[0],), tokens, [each.float() for each in columns], columns, said)


def test_leads():
    reading = made(["0111", "1101", "1110", "0010", "1111", "0000"], [2, 3, 3, 1, None, 2])
    found = reading.leads(POINTS[0])
    assert found.known == [1, 3, None, None, 0, None]
    assert found.lead == [1, 0, None, None, None, None]
    assert found.said == [2, 3, 3, 1, None, 2]
    assert found.share == 1 / 5
    # To the end: what is told only after the text has said it has a negative lead.
    until_end = made(["0111", "1110", "0011"], [2, 3, 1]).leads(POINTS[0], until="end")
    assert until_end.known == [1, None, 2]
    assert until_end.lead == [1, None, -1]
    assert until_end.share == 1 / 3
    assert math.isnan(made(["1"], [None]).leads(POINTS[0]).share)


def test_ties_are_not_right(checkpoint):
    def level(X):
        return torch.full((*X.shape[:2], 3), 1 / 3)

    found = read_traces(checkpoint, PROMPTS, TRACES, POINTS, level, [0, 1, 2], SAID)
    assert not any(right.any() for right in found.right)


def test_mistakes(checkpoint, probe):
    reader = probe_reader(probe)

    def read(**changes: Any) -> TraceReading:
        given: dict[str, Any] = {
            "prompts": PROMPTS,
            "traces": TRACES,
            "gold": [0, 1, 2],
            "said": SAID,
            "reader": reader,
        }
        given |= changes
        return read_traces(checkpoint, points=POINTS, **given)

    with pytest.raises(UserError, match="expected gold for each of 3 prompts, got 2"):
        read(gold=[0, 1])
    with pytest.raises(UserError, match="problem 2: the reader has answers 0 to 2, got 3"):
        read(gold=[0, 1, 3])
    with pytest.raises(UserError, match="problem 1: its trace has 8 characters, there is no 99"):
        read(said=[1, 99, 1])
    with pytest.raises(UserError, match="differ in their first token"):
        lens_reader(checkpoint, POINTS, torch.tensor([1, 1]))
    with pytest.raises(UserError, match="was not read"):
        read().leads(HookPoint(1, "resid_post"))
    assert read(prompts=[], traces=[], gold=[], said=[]).tokens == []
    with pytest.raises(UserError, match="no token of its trace"):
        read(said=[None, None, 0])


def test_a_reading_is_one_value(checkpoint, probe):
    found = read_traces(checkpoint, PROMPTS, TRACES, POINTS, probe_reader(probe), [0, 1, 2], SAID)
    assert replace(found, said=[None] * 3).leads(POINTS[0]).lead == [None] * 3
