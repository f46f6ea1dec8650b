import random
from typing import Any

import pytest

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.jobs.probe.config import ProbeConfig
from undertext.tasks import Grader, Problem, Task

CONFIG = ProbeConfig(positions=("prompt_end", -1, 0, 1), layers=(0, 2), strengths=(0.01, 0.1), threads=1)


def made_task(seed: int = 0, **counts: int) -> Task:
    """`a` and `b` stand in the prompt; the trace says `a`, then `b`, then `a` again as the answer."""
    rng = random.Random(seed)
    problems: list[dict[str, Any]] = []
    for split, n in ({"train": 60, "dev": 24, "test": 40} | counts).items():
        for k in range(n):
            a, b = rng.randrange(3), rng.randrange(4)
            steps = [{"text": f"a = {a} ;", "values": {"a": a}}, {"text": f"b = {b} ;", "values": {"b": b}}]
            problems.append(
                {
                    "id": f"{split}-{k}",
                    "split": split,
                    "prompt": f"a = {a} ; b = {b} ; find a :",
                    "answer": str(a),
                    "trace": f"a = {a} ; b = {b} ; answer {a}",
                    "steps": steps,
                    "values": {"b": b},
                }
            )
    grader = Grader(kind="regex", pattern=r"answer (\d+)")
    made = [Problem(**each) for each in problems]
    return Task(name="made up", description="For a test.", grader=grader, problems=made)


@pytest.fixture(scope="session")
def task() -> Task:
    return made_task()


@pytest.fixture(scope="session")
def pair() -> dict[str, Checkpoint]:
    tokenizer = word_tokenizer()
    return {
        name: Checkpoint.load(tiny_model("llama", len(tokenizer), seed=seed), tokenizer=tokenizer)
        for seed, name in enumerate(("base", "tuned"))
    }
