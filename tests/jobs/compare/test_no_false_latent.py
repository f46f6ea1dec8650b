"""Where the weaker checkpoint cannot have the capability nothing comes out as latent, whatever the seed."""

import random
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tests.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from undertext import compare
from undertext.activations import Checkpoint
from undertext.jobs.compare.config import CompareConfig

SEEDS = range(5)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tokenizer_for(plain_problems())


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_by_hand(tmp_path_factory.mktemp("sums") / "task", plain_problems(), 4)


@pytest.fixture(scope="module")
def able(tokenizer: PreTrainedTokenizerFast) -> Checkpoint:
    return Checkpoint.load(learnt(plain_problems(), tokenizer), tokenizer=tokenizer)


def misled() -> list[dict[str, Any]]:
    """The same problems, answers dealt out among them: their form and frequencies, nothing of sums."""
    problems = plain_problems()
    answers = [problem["answer"] for problem in problems]
    random.Random(0).shuffle(answers)
    return [{**problem, "answer": answer} for problem, answer in zip(problems, answers, strict=True)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("knows", ["nothing", "the form"])
def test_what_was_never_there_is_not_found(knows, seed, able, task, tokenizer):
    model = (
        blank(tokenizer, 100 + seed) if knows == "nothing" else learnt(misled(), tokenizer, seed=100 + seed)
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
