"""Grading by a function of the user's own: found by name or given, ended in time, never a task folder's."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undertext.activations.errors import UserError
from undertext.core.config import GradingConfig
from undertext.tasks import Grade, Grader, Problem, Task, load_task
from undertext.tasks.command import run
from undertext.tasks.function import GradeFunction, named_function
from undertext.tasks.open import open_task, task_record
from undertext.tasks.output_grader import OutputGrader, chance_note, chance_right

FolderOf = Callable[..., Path]
SETTINGS = "name: sums\ndescription: Adding up.\ngrader:\n  kind: python\n"
SOURCE = """
def ends(output, problem):
    ends = output.endswith(problem.answer)
    return {"strict": output == problem.answer, "lenient": ends, "answer":
    output[-1:]}
def hangs(output, problem):
    while True:
        pass
def breaks(output, problem):
    raise KeyError("no such\\nkey")
not_callable = 3
"""


@pytest.fixture
def module(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path_factory.mktemp("graders")
    (folder / "own_graders.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "own_graders", raising=False)
    return "own_graders"


def of(n: int) -> Task:
    splits = ["train", "dev", *["test"] * n]
    problems = [
        Problem(id=f"p{i}", split=s, prompt=f"q{i}", answer=str(i % 10)) for i, s in enumerate(splits)
    ]
    return Task(name="made up", description="d", grader=Grader(kind="python"), problems=problems)


def test_a_named_function_grades(module: str, folder_of: FolderOf) -> None:
    before = list(sys.path)
    task = open_task(folder_of(settings=SETTINGS), GradingConfig(grader=f"{module}:ends"))
    grader, problem = OutputGrader(task), task.split("test")[0]
    assert grader("7", problem) == Grade(True, True)
    assert grader("so 7", problem) == Grade(False, True)
    assert grader("so 8", problem) == Grade(False, False)
    assert grader("so 8", problem, answer="8") == Grade(False, True)
    assert grader.taken("so 8", problem) == "8"
    assert sys.path == before


def test_a_function_may_be_any_callable() -> None:
    seen: list[str] = []
    task = open_task(of(3), grade=lambda output, problem: np.bool_(output in (problem.answer, "any", *seen)))
    grader, problem = OutputGrader(task), task.split("test")[0]
    assert grader("any", problem) == Grade(True, True)
    assert grader("other", problem) == Grade(False, False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_graders", "as module:function"),
        ("own_graders:", "as module:function"),
        ("own graders:ends", "as module:function"),
        ("no_such_module_here:f", "no module 'no_such_module_here'"),
        ("own_graders.inner:f", "no module|cannot be imported"),
        ("own_graders:none", "own_graders has no none"),
        ("own_graders:not_callable", "is no function"),
    ],
)
def test_a_name_that_is_no_function_is_one_line(module: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        named_function(name, None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("nested", [False, True])
def test_nothing_in_a_tasks_folder_is_run(
    folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    folder = folder_of(settings=SETTINGS)
    home = folder / "of_task" if nested else folder
    home.mkdir(exist_ok=True)
    marker = folder / "ran"
    name = "of_task.own_grader_of_task" if nested else "own_grader_of_task"
    (home / "own_grader_of_task.py").write_text(f"open({str(marker)!r}, 'w')\ndef f(o, p): return True\n")
    if nested:
        (home / "__init__.py").write_text(f"open({str(marker)!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(UserError, match="lies in the task's folder"):
        open_task(folder, GradingConfig(grader=f"{name}:f"))
    assert not marker.exists()


def test_what_goes_wrong_is_one_line_with_name_and_output(module: str) -> None:
    problem = of(1).problems[0]
    with pytest.raises(UserError) as caught:
        named_function(f"{module}:breaks", None)("some\noutput", problem)
    line = str(caught.value)
    assert "own_graders:breaks" in line
    assert r"'some\noutput'" in line
    assert "KeyError" in line
    assert "\n" not in line
    for returned in (
        None,
        1,
        "yes",
        {"strict": True},
        {"strict": True, "lenient": False},
        {"strict": 1, "lenient": 2},
    ):
        with pytest.raises(UserError, match="expected"):
            GradeFunction(lambda output, problem, value=returned: value, "f")("x", problem)


def test_a_function_that_hangs_is_ended(module: str) -> None:
    problem = of(1).problems[0]
    hanging = named_function(f"{module}:hangs", None, seconds=0.3)
    with pytest.raises(UserError, match=r"expected a grade within 0.3 seconds"):
        hanging("x", problem)

    def once(output: str, problem: Problem) -> bool:
        if output == "slow":
            while True:
                pass
        return output == problem.answer

    function = GradeFunction(once, "once", seconds=0.5)
    with pytest.raises(UserError, match="expected a grade within"):
        function("slow", problem)
    assert function(problem.answer, problem) == (True, True, None)  # and the next output is graded


def test_a_task_of_kind_python_needs_a_function(folder_of: FolderOf) -> None:
    folder = folder_of(settings=SETTINGS)
    with pytest.raises(UserError, match="expected --grader module:function"):
        open_task(folder, GradingConfig())
    assert load_task(folder).function is None
    with pytest.raises(UserError, match="expected no grading function"):
        open_task(folder_of(), GradingConfig(grader="math:sqrt"))


def test_results_of_another_function_are_told_apart(module: str, folder_of: FolderOf) -> None:
    folder = folder_of(settings=SETTINGS)
    records: list[dict[str, Any]] = [
        task_record(open_task(folder, GradingConfig(grader=f"{module}:{name}")))
        for name in ("ends", "breaks")
    ]
    assert records[0]["fingerprint"] != records[1]["fingerprint"]


def test_chance_is_estimated_from_other_problems() -> None:
    task = open_task(of(200), grade=lambda output, problem: output.endswith(problem.answer))
    problems = task.split("test")
    texts = [f"it is {i % 10}" for i in range(len(problems))]
    found = chance_right(task, problems, texts, [False] * len(texts))
    exact = np.array(
        [
            np.mean([t.endswith(o.answer) for o in problems if o is not p])
            for p, t in zip(problems, texts, strict=True)
        ]
    )
    assert abs(found.mean() - exact.mean()) < 4 * 0.3 / np.sqrt(20 * len(texts))
    assert found.tolist() == chance_right(task, problems, texts, [False] * len(texts)).tolist()
    assert not chance_right(task, problems, texts, [True] * len(texts)).any()
    assert "20 other problems" in chance_note(task, len(texts))


def test_task_check_shows_what_was_taken(
    module: str,
    folder_of: FolderOf,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = folder_of({"id": "q", "prompt": "5 + 5 ="}, settings=SETTINGS.replace("python", "number"))
    out = tmp_path_factory.mktemp("outputs")
    file = out / "outputs.jsonl"
    file.write_text(
        '{"id": "q", "output": "so 1/7"}\n{"id": "q", "output": "7"}\n{"id": "p", "output": "none"}\n'
    )
    file.write_text(file.read_text().replace('"p"', '"good-test"'))
    assert run(["check", str(folder), "--outputs", str(file), "--table", str(out / "t.csv")]) == 0
    said = capsys.readouterr().out
    assert "right: 1 of 3" in said
    assert "wrong: 1 of 3\n  q: took '1/7', the answer is '7'" in said
    assert "no answer: 1 of 3\n  good-test: took nothing" in said
    assert (out / "t.csv").read_text().count("\n") == 4
    for text, message in (
        ('{"id": "z", "output": "7"}', "outputs.jsonl:1: expected the id of one of the task's problems"),
        ('{"id": "q", "output": 7}', "outputs.jsonl:1: expected an output that is text"),
        ("[]", "outputs.jsonl:1: expected one JSON object"),
        ("", "expected lines with id and output"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=message):
            run(["check", str(folder), "--outputs", str(file)])
    folder = folder_of({"id": "q", "prompt": "5 + 5 ="}, settings=SETTINGS)
    assert run(["check", str(folder), "--grader", f"{module}:ends"]) == 0
    assert "not graded right" not in capsys.readouterr().out


def test_task_check_lists_answers_that_are_not_graded_right(
    folder_of: FolderOf, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = SETTINGS.replace("python", "regex\n  pattern: 'answer (.*)'")
    folder = folder_of({"id": "q", "prompt": "5 + 5 =", "trace": "answer 8, no"}, settings=settings)
    assert run(["check", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "1 of the task's own answers are not graded right" in said
    assert "q: took '8, no', the answer is '7'" in said
