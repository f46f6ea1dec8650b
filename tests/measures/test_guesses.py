"""One who guesses, beside one who is broken: both answer every prompt alike greedily."""

import numpy as np
import pytest

from undertext.measures.answers import Samples, guesses
from undertext.tasks import Grader, Problem, Task

N, K = 40, 4
PROBLEMS = [
    Problem(id=f"{split}{i}", split=split, prompt=f"{i} ?", answer=str(i % 7))
    for split in ("train", "dev", "test")
    for i in range(N if split == "test" else 1)
]
TASK = Task(
    name="t",
    description="t",
    grader=Grader(kind="regex", pattern=r"answer (\d)"),
    problems=PROBLEMS,
    max_new_tokens=8,
)
RNG = np.random.default_rng(0)


def drawn(text: object, cut: bool = False) -> Samples:
    """Samples of each problem, made by a function of its number."""
    texts = [[text(i) if callable(text) else str(text) for _ in range(K)] for i in range(N)]
    no = np.zeros((N, K), bool)
    return Samples(texts, no, np.ones((N, K), int), no | cut)


@pytest.mark.parametrize(
    ("samples", "wanted"),
    [
        (drawn(lambda _: f"answer {RNG.integers(7)}"), True),
        (drawn(lambda i: f"answer {int(i % 5 == 0)}"), True),  # of two answers, one four times in five
        (drawn(lambda i: f"answer {int(i % 20 == 0)}"), False),  # nineteen times in twenty: noise
        (drawn("answer 5"), False),  # the same when it is sampled
        (drawn(lambda _: "5 = ; answer"), False),  # no answer: broken
        (drawn("I cannot help with that"), False),  # a refusal
        (drawn(lambda _: f"answer {RNG.integers(7)}", cut=True), False),  # on and on: nothing is finished
        (drawn(lambda i: "?" if i % 2 else f"answer {RNG.integers(7)}"), False),  # every other one alone
    ],
)
def test_samples_tell_a_guesser_from_a_broken_checkpoint(samples, wanted):
    assert guesses(TASK, TASK.split("test"), samples, 0.95) is wanted
