"""Outputs that think: the trace and the answer are told apart by the marks that the task names."""

from typing import Any

import numpy as np
import pytest

from tests.verdicts import RULE, answers
from undertext.jobs.compare.outputs import output_flags
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.output_grader import OutputGrader, chance_right
from undertext.tasks.prompt_form import Reasoning


def a_task(kind: Any = "number", *, opened: bool = False, marks: bool = True, **grader: Any) -> Task:
    problems = [
        Problem(
            id=f"{split}{i}", split=split, prompt=f"Q{i}" + ("<think>\n" if opened else ""), answer=str(i)
        )
        for split in ("train", "dev", "test")
        for i in range(4)
    ]
    reasoning = Reasoning() if marks else None
    return Task(
        name="t", description="d", grader=Grader(kind=kind, **grader), problems=problems, reasoning=reasoning
    )


@pytest.mark.parametrize("opened", [False, True], ids=["the output opens it", "the prompt has opened it"])
@pytest.mark.parametrize(
    ("kind", "end"), [("number", "so 3"), ("exact", "3"), ("math", r"so \boxed{3}."), ("number", "3")]
)
def test_what_comes_after_the_reasoning_is_graded_and_nothing_else(kind, end, opened):
    grader = OutputGrader(a_task(kind, opened=opened))
    problem = a_task(kind).problems[3]
    open_mark = "" if opened else "<think>"
    text = f"{open_mark}1 + 1 is 2, or 2?</think>\n{end}"
    assert grader(text, problem).lenient
    assert grader.taken(text, problem) == "3" or kind == "math"
    span = grader.find(text, cut=False)
    assert span is not None
    assert "3" in text[slice(*span)]
    assert not grader(f"{open_mark}3 is it</think>\n2", problem).lenient
    assert not grader(f"{open_mark}the answer is 3", problem).lenient  # never closed
    assert grader.find(f"{open_mark}the answer is 3", cut=False) is None
    assert grader.said(f"{open_mark}the answer is 3", problem) == frozenset()
    assert not grader.unfinished(f"{open_mark}the answer is 3", cut=False)
    assert grader.unfinished(f"{open_mark}the answer is 3", cut=True)
    again = f"{open_mark}2</think> no <think> 3 </think> {end}"
    assert grader(again, problem).lenient  # the last closing mark counts


def test_a_base_that_knows_no_marks_is_graded_whole():
    problem = a_task().problems[3]
    assert OutputGrader(a_task())("1 + 2 = 3", problem).lenient
    assert not OutputGrader(a_task(opened=True))("1 + 2 = 3", problem).lenient
    unmarked = OutputGrader(a_task(marks=False))
    assert unmarked("<think>2</think> 3", problem).lenient
    assert unmarked("<think>it is 3", problem).lenient


def test_what_never_ends_its_reasoning_is_right_for_no_problem():
    task = a_task()
    problems = task.split("test")
    texts = ["<think>1", "<think></think> 1", "<think>0</think>2", "3"]
    worth = chance_right(task, problems, texts, np.zeros(4, bool))
    assert worth.tolist() == [0.0] * 4
    assert chance_right(task, problems, ["2"] * 4, np.zeros(4, bool)).tolist() == pytest.approx(
        [1 / 3, 1 / 3, 0, 1 / 3]
    )


def test_outputs_that_end_within_their_reasoning_are_counted():
    task = a_task()
    both: dict[Any, Any] = {role: answers([False] * 4) for role in ("base", "tuned")}
    both["tuned"].texts[:] = ["<think>1", "<think>2</think>3", "<think>", "0"]
    flags = output_flags(dict.fromkeys(both, task), "test", both, RULE)
    assert "2 of the tuned's 4 outputs end within their reasoning and give no answer" in flags


def test_marks_must_differ():
    with pytest.raises(ValueError, match="expected a text that differs from open's"):
        Reasoning(open="##", close="##")
