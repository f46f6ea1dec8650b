"""Answers under several keys of which a known share of the problems is opened."""

import numpy as np

from undertext.core.terms import LineName
from undertext.measures.answers import Answers, Samples
from undertext.measures.recovery.search import SteeredAnswers
from undertext.tasks import Grader, Problem, Task

N = 200


def task_of(answers: int, n: int = N) -> Task:
    rng = np.random.default_rng(3)
    problems = [
        Problem(id=f"{split}{i}", split=split, prompt=f"{i} ?", answer=str(rng.integers(answers)))
        for split in ("train", "dev", "test")
        for i in range(n if split == "test" else 2)
    ]
    return Task(name="t", description="t", grader=Grader(kind="number"), problems=problems, max_new_tokens=8)


def answers(texts: list[str], task: Task) -> Answers:
    right = np.array([text == each.answer for text, each in zip(texts, task.split("test"), strict=True)])
    n = len(texts)
    return Answers(texts, right, right, np.ones(n), np.zeros(n, bool))


def samples_of(rows: list[list[str]], task: Task) -> Samples:
    problems = task.split("test")
    right = np.array(
        [[text == each.answer for text in row] for row, each in zip(rows, problems, strict=True)]
    )
    return Samples(rows, right, np.ones(right.shape, int), np.zeros(right.shape, bool))


Keyed = dict[LineName, Answers | SteeredAnswers]


def made(
    share: float, seed: int, alike: bool = False, count: int = 7
) -> tuple[Task, Samples, Keyed, Answers]:
    """Every key opens this share of the problems and guesses at the others; `alike`: all guess as the greedy
    output does, which is wrong."""
    task, rng = task_of(count), np.random.default_rng(seed)
    known = rng.random(N) < share
    right = np.array([int(problem.answer) for problem in task.split("test")])
    one = (right + rng.integers(1, count, size=N)) % count

    def key() -> list[str]:
        guesses = one if alike else rng.integers(count, size=N)
        return [
            problem.answer if knows else str(guess)
            for problem, knows, guess in zip(task.split("test"), known, guesses, strict=True)
        ]

    samples = samples_of([[text] for text in key()], task)
    keyed: Keyed = {
        "prompted": answers(key(), task),
        "prefilled": answers(key(), task),
        "recovered": answers(key(), task),
    }
    return task, samples, keyed, answers([str(each) for each in one], task)
