"""A made-up task whose values stand in the prompt and are said by the trace, for tests of what reads them."""

import random
from typing import Any

import pyarrow as pa
import torch

from undertext.activations import Checkpoint, HookPoint, capture
from undertext.jobs.probe.config import ProbeConfig
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.value_positions import reading_text

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


def rows_of(table: pa.Table, **wanted: Any) -> list[dict[str, Any]]:
    """The rows that have these values."""
    return [row for row in table.to_pylist() if all(row[name] == value for name, value in wanted.items())]


def by_hand(checkpoint: Checkpoint, task: Task, split: str, offset: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations and labels of `a`, read `offset` tokens after the last one before the trace says it."""
    texts = [reading_text(problem) for problem in task.split(split)]
    encoded = checkpoint.encode(texts)
    # <bos> a = A ; b = B ; find a : | a = A ...
    points = [HookPoint(layer, "resid_post") for layer in (0, 2)]
    X = capture(checkpoint, encoded, points, [[14 - 1 + offset]] * len(encoded)).activations
    for ids in encoded:
        assert checkpoint.decode(ids[14:15]).strip() in "012"
    return X, torch.tensor([int(problem.steps[0].values["a"]) for problem in task.split(split)])
