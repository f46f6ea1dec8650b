"""A made-up task with two answers, and what is said to its problems."""

import numpy as np

from undertext.measures.answers import Answers
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.output_grader import chance_right


def two_answers(said: np.ndarray) -> tuple[Task, Answers]:
    """A task with two answers, as many of each, and answers to it that say 1 where this is true."""
    n = len(said)
    problems = [
        Problem(id=f"{split}{i}", split=split, prompt=f"{split} {i} ?", answer=str(i % 2))
        for split, count in (("train", 1), ("dev", 1), ("test", n))
        for i in range(count)
    ]
    task = Task(
        name="two answers", description="For a test.", problems=problems, max_new_tokens=3,
        grader=Grader(kind="regex", pattern=r"answer (\d)"),
    )  # fmt: skip
    right = said == (np.arange(n) % 2 == 1)
    texts = [f"answer {int(each)}" for each in said]
    return task, Answers(texts, right, right, np.ones(n), np.zeros(n, bool))


def luck(task: Task, own: Answers) -> np.ndarray:
    """What the answers score on other problems."""
    return chance_right(task, task.split("test"), own.texts, own.unfinished)
