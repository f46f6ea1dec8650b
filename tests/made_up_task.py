"""Two tiny models and a made-up task: what the tests of steering as evidence share."""

from collections.abc import Sequence
from typing import Any

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint
from undertext.measures.answers import greedy
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


def two_splits(n: int = 8) -> Task:
    """The made-up task, with the problems of test once more as another split."""
    made = task_of(n=n)
    more = [each.model_copy(update={"id": f"{each.id}-2", "split": "ood"}) for each in made.split("test")]
    return made.model_copy(update={"problems": [*made.problems, *more]})


def with_gap(task: Task, weaker: Checkpoint, stronger: Checkpoint) -> Task:
    """The task with what the stronger one writes for answers, so that there is a gap to be measured."""
    said, others = (greedy(each, task, task.problems).texts for each in (stronger, weaker))
    problems = [
        each.model_copy(update={"answer": text.strip() or "nothing"})
        for each, text in zip(task.problems, said, strict=True)
    ]
    # What the weaker one writes is some problem's answer as well: an output that is none would be unfinished.
    first = task.split("train")[0]
    problems += [
        first.model_copy(update={"id": f"other {i}", "answer": text.strip()})
        for i, text in enumerate(sorted({*others} - {*said}))
        if text.strip()
    ]
    return task.model_copy(update={"problems": problems, "grader": Grader(kind="exact")})
