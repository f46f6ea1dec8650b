"""Tasks built in Python are held to the same rules as tasks read from a folder."""

import pytest
from pydantic import ValidationError

from undertext.tasks import Contrast, Grader, Problem, Step, Task, fill


def problems(**answers: str) -> list[Problem]:
    return [Problem(id=split, split=split, prompt="p", answer=answer) for split, answer in answers.items()]


def task_of(members: list[Problem], grader: Grader) -> Task:
    return Task(name="t", description="d", grader=grader, problems=members)


@pytest.mark.parametrize(
    ("members", "grader", "message"),
    [
        ([], Grader(kind="exact"), "the task is empty"),
        (problems(train="1", dev="1"), Grader(kind="exact"), "got train, dev"),
        (problems(train="1", dev="1", test="1") * 2, Grader(kind="exact"), "got 'train' twice"),
        (problems(train="1", dev="1", test="x"), Grader(kind="number"), "problem 'test', field 'answer'"),
    ],
)
def test_a_task_is_checked_as_a_whole(members: list[Problem], grader: Grader, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        task_of(members, grader)


def test_a_task_is_frozen() -> None:
    task = task_of(problems(train="1", dev="1", test="1"), Grader(kind="exact"))
    with pytest.raises(ValidationError, match="frozen"):
        task.name = "other"  # type: ignore[misc]  # what is tested


def test_steps_are_looked_for_one_after_another() -> None:
    steps = [Step(text="a = 1"), Step(text="a = 1")]
    Problem(id="p", split="test", prompt="p", answer="1", trace="a = 1 ; a = 1", steps=steps)
    with pytest.raises(ValidationError, match=r"got 'a = 1' \(step 2\), not in the trace after step 1's"):
        Problem(id="p", split="test", prompt="p", answer="1", trace="a = 1 ;", steps=steps)


def test_filling_a_template_leaves_all_other_braces_alone() -> None:
    contrast = Contrast(name="c", positive="{0} {prompt} {{", negative="{prompt}")
    prompt = "<script>{x}</script> {prompt} \\1"
    assert fill(contrast.positive, prompt) == "{0} <script>{x}</script> {prompt} \\1 {{"
