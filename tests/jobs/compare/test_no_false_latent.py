"""Where the weaker checkpoint cannot have the capability nothing comes out as latent, whatever the seed."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.sums import SPLITS, blank, learnt, plain_problems, tokenizer_for, write_by_hand
from undertext import compare
from undertext.activations import Checkpoint
from undertext.jobs.compare.config import CompareConfig

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4))]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tokenizer_for(plain_problems())


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_by_hand(tmp_path_factory.mktemp("sums") / "task", plain_problems(), 4)


@pytest.fixture(scope="module")
def able(tokenizer: PreTrainedTokenizerFast) -> Checkpoint:
    return Checkpoint.load(learnt(plain_problems(), tokenizer), tokenizer=tokenizer)


def parities() -> list[dict[str, Any]]:
    """Whether the second number is odd: two answers, and problems enough for lines to speak."""
    return [
        {
            "id": f"{a}+{b}",
            "split": SPLITS[(3 * a + b) % 5],
            "prompt": f"Q: {a} and {b}, odd?",
            "answer": (a + b) % 2,
        }
        for a in range(14)
        for b in range(14)
    ]


def misled(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same problems, answers dealt out among them: their form and frequencies, nothing of sums."""
    answers = [problem["answer"] for problem in problems]
    random.Random(0).shuffle(answers)
    return [{**problem, "answer": answer} for problem, answer in zip(problems, answers, strict=True)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("knows", ["nothing", "the form"])
def test_what_was_never_there_is_not_found(knows, seed, able, task, tokenizer):
    model = (
        blank(tokenizer, 100 + seed)
        if knows == "nothing"
        else learnt(misled(plain_problems()), tokenizer, seed=100 + seed)
    )
    config = CompareConfig(seed=seed, samples=4, search_problems=20, vector_problems=32, random_directions=2)
    weaker = Checkpoint.load(model, tokenizer=tokenizer)
    result = compare(weaker, able, task, config=config, progress=False).splits["test"]
    assert result.weaker == "base"
    for name in ("recovered", "behaviour"):
        line = result.line(name)
        assert line is not None
        assert line.says != "latent", line
    assert result.verdict in ("taught", "undetermined")


@pytest.mark.slow
def test_a_guesser_between_two_answers_has_nothing_latent(tmp_path):
    """Eight samples of a coin hold both sides: pass@8 of a guesser is 1, and so is that of chance."""
    problems = parities()
    tokenizer = tokenizer_for(problems)
    task = write_by_hand(tmp_path / "task", problems, 4)
    able = Checkpoint.load(learnt(problems, tokenizer, steps=80), tokenizer=tokenizer)
    guesser = Checkpoint.load(learnt(misled(problems), tokenizer, seed=1), tokenizer=tokenizer)
    config = CompareConfig(search_problems=20, vector_problems=32, random_directions=2, splits=["test"])
    result = compare(able, guesser, task, config=config, progress=False).splits["test"]
    assert result.weaker == "tuned"
    assert result.accuracy["base"].value > 0.9
    line = result.line("behaviour")
    assert line is not None
    assert line.note.startswith("pass@1 of 8 samples")
    assert line.null.value < 0.6
    assert line.says == "unclear"
    assert result.verdict in ("overwritten", "undetermined")


@pytest.mark.slow
def test_a_base_of_zeros_was_taught_nothing(able, task, tokenizer):
    """Every logit is equal: one output for every prompt, and no evidence of what a base can do."""
    model = blank(tokenizer, 0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    config = CompareConfig(samples=4, search_problems=20, vector_problems=32, random_directions=2)
    zeros = Checkpoint.load(model, tokenizer=tokenizer)
    result = compare(zeros, able, task, config=config, progress=False).splits["test"]
    assert (result.weaker, result.verdict) == ("base", "undetermined")
    assert any("base answers every prompt alike" in flag for flag in result.flags)


def test_two_checkpoints_that_solve_nothing_preserve_nothing(task, tokenizer):
    one, other = (Checkpoint.load(blank(tokenizer, seed), tokenizer=tokenizer) for seed in (1, 2))
    result = compare(one, other, task, progress=False).splits["test"]
    assert (result.weaker, result.verdict) == ("neither", "undetermined")
    assert any("neither checkpoint solves the task" in flag for flag in result.flags)
