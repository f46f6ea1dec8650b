"""What checkpoints answer, and what an answer is worth that knows nothing of its problem."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, generate
from undertext.measures.answers import chance_right, greedy, sampled
from undertext.tasks import Grader, Problem, Task, grade


def task_of(answers: list[str], prompts: list[str] | None = None, **settings: Any) -> Task:
    """A task whose test split has these answers."""
    prompts = prompts or [f"q{i}" for i in range(len(answers))]
    ends = [Problem(id=split, split=split, prompt="x", answer="0") for split in ("train", "dev")]
    problems = [
        Problem(id=f"t{i}", split="test", prompt=prompt, answer=answer)
        for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
    ]
    options: dict[str, Any] = {"grader": Grader(kind="number"), "max_new_tokens": 5, **settings}
    return Task(name="made up", description="For a test.", problems=[*ends, *problems], **options)


numbers = st.sampled_from(["1", "2", "2.0", "7", "07", "-1"])
outputs = st.sampled_from(["1", "so 2", "answer 7", "7 or 1", "", "none", "-1", "2.00"])


@given(st.lists(st.tuples(numbers, outputs), min_size=1, max_size=12))
def test_chance_right_is_the_share_of_other_problems(pairs):
    task = task_of([answer for answer, _ in pairs])
    problems, texts = task.split("test"), [text for _, text in pairs]
    wanted = [
        np.mean(
            [grade(task.grader, text, other.answer).lenient for j, other in enumerate(problems) if j != i]
            or [False]
        )
        for i, text in enumerate(texts)
    ]
    np.testing.assert_allclose(chance_right(task, problems, texts), wanted)


PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; c = b + 1 ; so c ?", "d", "e = 2 ;"]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)


def alone(checkpoint: Checkpoint, prompt: str, stop: list[str]) -> str:
    return generate(checkpoint, [prompt], max_new_tokens=5, stop=stop).texts[0]


def test_answers_are_greedy_and_graded_twice(checkpoint):
    plain = [alone(checkpoint, prompt, []) for prompt in PROMPTS]
    # The first is right in full, the second's last line but for its case, the third not at all.
    wanted = [plain[0], plain[1].upper() if plain[1] != plain[1].upper() else f" {plain[1]}.", "nothing"]
    task = task_of([*wanted, *plain[3:]], PROMPTS, grader=Grader(kind="exact"))
    done: list[int] = []
    found = greedy(checkpoint, task, task.split("test"), batch_size=2, progress=done.append)
    assert found.texts == plain
    assert found.strict.tolist() == [True, False, False, True, True]
    assert found.lenient.tolist() == [True, True, False, True, True]
    assert sum(done) == len(PROMPTS)


def test_answers_end_at_the_tasks_stop_texts(checkpoint):
    word = alone(checkpoint, PROMPTS[0], []).split()[2]
    task = task_of(["0"] * len(PROMPTS), PROMPTS, stop=[word])
    found = greedy(checkpoint, task, task.split("test"))
    assert found.texts == [alone(checkpoint, prompt, [word]) for prompt in PROMPTS]
    assert word not in found.texts[0]


def test_samples_are_graded_problem_by_problem(checkpoint):
    k, asked = 6, [PROMPTS[i] for i in (0, 2, 4)]
    texts = generate(checkpoint, asked, max_new_tokens=5, samples=k, temperature=2.0, seed=3).texts
    rows = [texts[i * k : (i + 1) * k] for i in range(3)]
    ends_in = Grader(kind="regex", pattern=r"(\S+)\s*$")
    task = task_of([row[0].split()[-1] for row in rows], asked, grader=ends_in)
    problems = task.split("test")
    found = sampled(checkpoint, task, problems, samples=k, temperature=2.0, seed=3, batch_size=5)
    assert found.texts == rows
    wanted = [
        [grade(task.grader, text, problem.answer).lenient for text in row]
        for problem, row in zip(problems, rows, strict=True)
    ]
    assert found.right.tolist() == wanted
    assert 0 < found.right.mean() < 1, "the samples tell nothing apart"
