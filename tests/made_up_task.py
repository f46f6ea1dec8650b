"""Two tiny models and a made-up task: what the tests of steering as evidence share."""

from collections.abc import Sequence
from typing import Any

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint
from undertext.measures.recovery.config import SearchConfig
from undertext.tasks import Contrast, Grader, Problem, Task

CONFIG = SearchConfig(
    search="grid", random_directions=2, vector_problems=20, search_problems=3, doses=(2.0, 0.5), seed=4
)


def checkpoint(seed: int) -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer), seed=seed), tokenizer=tokenizer)


WEAKER, STRONGER = checkpoint(0), checkpoint(1)
POINTS = [HookPoint(layer, "resid_post") for layer in range(3)]


def task_of(contrasts: Sequence[Contrast] = (), n: int = 30, **settings: Any) -> Task:
    problems = [
        Problem(
            id=f"{split}{k}",
            split=split,
            prompt=f"{name} = {k % 10} ; {'so ' * (k % 4)}find {name} :",
            answer=str(k % 10),
        )
        for split, name in (("train", "a"), ("dev", "b"), ("test", "c"))
        for k in range(n)
    ]
    options: dict[str, Any] = {"grader": Grader(kind="number"), "max_new_tokens": 3, **settings}
    return Task(
        name="made up", description="For a test.", contrasts=list(contrasts), problems=problems, **options
    )
