"""A task whose answers are chosen by likelihood, compared end to end, steering among the lines."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.sums import plain_problems
from undertext import compare, routes
from undertext.activations import Checkpoint, HookPoint, Pair, UserError
from undertext.activations.interventions import Intervention
from undertext.jobs.compare.config import CompareConfig
from undertext.measures.answers import greedy, sampled
from undertext.tasks import Task, load_task
from undertext.tasks.output_grader import chance_right

QUICK = CompareConfig(
    samples=4,
    doses=(2.0,),
    random_directions=1,
    search_problems=6,
    vector_problems=16,
    splits=["test"],
    max_layers=1,
)
SETTINGS = "name: sums\ndescription: Which sum?\ngrader: {kind: likelihood}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("likelihood")
    problems: list[dict[str, Any]] = []
    for each in plain_problems():
        near = [each["answer"] + step for step in (0, 1, 2, 3)]
        shift = each["id"] % 4
        problems.append({**each, "choices": near[shift:] + near[:shift]})
    (folder / "task.yaml").write_text(SETTINGS)
    (folder / "problems.jsonl").write_text("".join(json.dumps(each) + "\n" for each in problems))
    return folder


def likeliest(checkpoint: Checkpoint, prompt: str, choices: list[str]) -> str:
    scores = []
    for choice in choices:
        head, ids = checkpoint.encode([prompt])[0], checkpoint.encode([f"{prompt} {choice}"])[0]
        with torch.inference_mode():
            logits = checkpoint.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        scores.append(sum(float(logits[i - 1, ids[i]]) for i in range(len(head), len(ids))))
    return choices[int(np.argmax(scores))]


@pytest.mark.slow
def test_a_verdict_on_choices(folder: Path, sums_pair: Pair, tmp_path: Path) -> None:
    found = compare(*sums_pair, folder, config=QUICK, out=tmp_path / "out")
    split = found.summary["splits"]["test"]
    task = load_task(folder)
    problems = sorted(task.split("test"), key=lambda problem: problem.id)
    rows = found.table("problems")
    for who in ("base", "tuned"):
        wanted = [likeliest(getattr(sums_pair, who), p.prompt, p.choices) for p in problems]
        assert rows[f"{who}_output"].tolist() == wanted
        right = [w == p.answer for w, p in zip(wanted, problems, strict=True)]
        assert rows[f"{who}_lenient"].tolist() == right
        assert not rows[f"{who}_unfinished"].any()
    assert rows["tuned_lenient"].mean() > 0.9 > rows["base_lenient"].mean() + 0.3
    lines = {line["name"]: line for line in split["evidence"]}
    assert {"behaviour", "recovered"} <= set(lines)
    assert split["verdict"] in ("taught", "undetermined")  # the base was shown nothing
    assert sum("no trace is written, and none was measured" in flag for flag in split["flags"]) == 1
    assert "trace" not in found.tables
    assert 0.15 < lines["behaviour"]["null"]["value"] < 0.9  # as guesses among four would come out


def test_steered_choices_are_those_of_the_steered_model(folder: Path, sums_pair: Pair) -> None:
    task, checkpoint = load_task(folder), sums_pair.tuned
    problems = task.split("test")[:8]
    vector = 30 * torch.randn(checkpoint.d_model, generator=torch.Generator().manual_seed(0))
    acting = [Intervention(HookPoint(0, "resid_post"), vector, 1.0, at="all")]
    plain, steered = greedy(checkpoint, task, problems), greedy(checkpoint, task, problems, acting=acting)
    hook = checkpoint.model.model.layers[0].register_forward_hook(
        lambda module, inputs, output: output + vector
    )
    try:
        wanted = [likeliest(checkpoint, problem.prompt, problem.choices) for problem in problems]
    finally:
        hook.remove()
    assert steered.texts == wanted != plain.texts


def test_samples_follow_the_softmax(folder: Path, sums_pair: Pair) -> None:
    task = load_task(folder)
    problems = task.split("test")[:2]
    drawn = sampled(sums_pair.base, task, problems, samples=2000, temperature=1.0, seed=0)
    again = sampled(sums_pair.base, task, problems[::-1], samples=2000, temperature=1.0, seed=0)
    assert drawn.texts == again.texts[::-1]
    for problem, texts in zip(problems, drawn.texts, strict=True):
        head = sums_pair.base.encode([problem.prompt])[0]
        scores = []
        for choice in problem.choices:
            ids = sums_pair.base.encode([f"{problem.prompt} {choice}"])[0]
            with torch.inference_mode():
                logits = sums_pair.base.model(torch.tensor([ids])).logits[0].log_softmax(-1)
            scores.append(sum(float(logits[i - 1, ids[i]]) for i in range(len(head), len(ids))))
        wanted = np.exp(scores) / np.exp(scores).sum()
        shares = [texts.count(choice) / len(texts) for choice in problem.choices]
        np.testing.assert_allclose(shares, wanted, atol=4 * 0.5 / np.sqrt(2000))


def test_a_guess_is_worth_a_guess(folder: Path) -> None:
    task = load_task(folder)
    problems = task.split("test")
    texts = [problem.choices[0] for problem in problems]
    found = chance_right(task, problems, texts, [False] * len(texts))
    wanted = [
        np.mean(
            [(text == o.answer) if text in o.choices else 1 / len(o.choices) for o in problems if o is not p]
        )
        for p, text in zip(problems, texts, strict=True)
    ]
    np.testing.assert_allclose(found, wanted)


def test_what_needs_writing_is_refused_in_a_line(folder: Path, sums_pair: Pair) -> None:
    with pytest.raises(UserError, match="`routes` has checkpoints write answers") as caught:
        routes(*sums_pair, folder)
    assert "\n" not in str(caught.value)


def test_an_answer_that_is_not_offered_is_a_fault(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(SETTINGS)
    lines = (folder / "problems.jsonl").read_text().splitlines()
    row = {**json.loads(lines[0]), "choices": ["a", "b"]}
    (tmp_path / "problems.jsonl").write_text("\n".join([json.dumps(row), *lines[1:]]))
    with pytest.raises(UserError, match="expected one of the problem's choices"):
        load_task(tmp_path)
    assert isinstance(load_task(folder), Task)
