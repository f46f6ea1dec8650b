"""Probabilities and ranks of tokens of outputs: against a bare pass over each text."""

import pytest
import torch

from tests.trails_task import problem, toy
from undertext.activations import HookPoint
from undertext.measures.trace.output_tokens import TokenProbe, output_tokens
from undertext.tasks.spans import join

OUTPUTS = ["a = 3 ; answer 3", "  7 \n", "", "so so so find a"]


def test_figures_are_those_of_a_bare_pass():
    reader = toy()
    problems = [problem(k) for k in range(len(OUTPUTS))]
    found = output_tokens(reader, problems, OUTPUTS)
    log_probs, ranks = [], []
    for asked, output in zip(problems, OUTPUTS, strict=True):
        head = len(reader.encode([asked.prompt])[0])
        ids = reader.encode([join(asked.prompt, output.strip()) if output.strip() else asked.prompt])[0]
        with torch.inference_mode():
            scores = reader.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        for i in range(head, len(ids)):
            log_probs.append(float(scores[i - 1, ids[i]]))
            ranks.append(int((scores[i - 1] > scores[i - 1, ids[i]]).sum()) + 1)
    assert found.log_probs.tolist() == pytest.approx(log_probs, abs=1e-5)
    assert found.ranks.tolist() == ranks
    assert found.counts.tolist() == [len(output.split()) for output in OUTPUTS]


def test_a_probe_reads_each_token_of_the_same_pass():
    """Hidden states of a bare pass, times the weights, and the softmax's share of the output's own class."""
    reader, noise = toy(), torch.Generator().manual_seed(0)
    coef, intercept = torch.randn(3, reader.d_model, generator=noise), torch.randn(3, generator=noise)
    problems, wanted = [problem(k) for k in range(len(OUTPUTS))], [2, None, 1, 0]
    probe = TokenProbe(HookPoint(0, "resid_post"), coef, intercept)
    found = output_tokens(reader, problems, OUTPUTS, probe=probe, wanted=wanted)
    expected = []
    for asked, output, own in zip(problems, OUTPUTS, wanted, strict=True):
        head = len(reader.encode([asked.prompt])[0])
        ids = reader.encode([join(asked.prompt, output.strip()) if output.strip() else asked.prompt])[0]
        with torch.inference_mode():
            hidden = reader.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]
        read = (hidden @ coef.T + intercept).softmax(-1)
        expected += [float("nan") if own is None else float(read[i, own]) for i in range(head, len(ids))]
    assert found.probe is not None
    assert found.probe.tolist() == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert len(set(expected)) > 3
    without = output_tokens(reader, problems, OUTPUTS)
    assert without.probe is None
    assert without.ranks.tolist() == found.ranks.tolist()
    assert without.log_probs.tolist() == pytest.approx(found.log_probs.tolist(), abs=1e-5)


def test_tokens_begin_where_they_stand_in_the_output():
    found = output_tokens(toy(), [problem(0), problem(1)], ["  a = 3 ;", "find a"])
    assert found.starts.tolist()[:1] == [2]  # white space before the output is no token of it
    pieces = ["  a = 3 ;"[start:].split()[0] for start in found.starts.tolist()[:4]]
    assert pieces == ["a", "=", "3", ";"]
    assert ["find a"[start:].split()[0] for start in found.starts.tolist()[4:]] == ["find", "a"]


def test_a_text_in_bytes_is_covered_by_its_tokens():
    """Several tokens of one character begin where it does, and none begins before the one ahead of it."""
    output = "3 é 推理 7"
    found = output_tokens(toy(of_bytes=True), [problem(0)], [output])
    starts = found.starts.tolist()
    assert starts == sorted(starts)
    assert len(starts) > len(set(starts)) > 3
    assert max(starts) < len(output)


def test_an_output_longer_than_the_context_is_read_as_far_as_it_goes():
    found = output_tokens(toy(n_ctx=64), [problem(1)], ["so " * 100])
    assert found.counts.tolist() == [64 - len(toy().encode([problem(1).prompt])[0])]


def test_no_output_is_no_token():
    found = output_tokens(toy(), [], [])
    assert found.counts.size == found.log_probs.size == found.starts.size == found.ranks.size == 0
