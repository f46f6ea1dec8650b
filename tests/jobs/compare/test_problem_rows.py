"""What is odd about single outputs: on outputs and traces that are made so."""

import numpy as np
import pytest

from tests.trails_task import problem
from undertext.core.terms import ROLES
from undertext.jobs.compare.config import verdict_rule
from undertext.jobs.compare.problem_rows import problem_flags, problem_rows
from undertext.jobs.compare.trace_parts import Traced, TraceReads
from undertext.measures.answers import Answers, graded
from undertext.measures.trace.changes import Change
from undertext.measures.trace.dependence import AfterChange
from undertext.measures.trace.ends import Ends
from undertext.tasks import Grader, Task

RULE = verdict_rule()
OTHERS = [problem(k, split=split, id=f"{split}{k}") for split in ("train", "dev") for k in range(2)]


def task_of(outputs: int) -> Task:
    problems = [problem(k, id=f"q{k}") for k in range(outputs)]
    grader = Grader(kind="number")
    return Task(name="made up", description="For a test.", grader=grader, problems=[*problems, *OTHERS])


def answers_of(task: Task, texts: list[str], cut: list[bool]) -> Answers:
    return graded(task, task.split("test"), texts, [1] * len(texts), cut)


def test_outputs_are_flagged_one_by_one():
    right = problem(2).answer
    texts = ["", "no number at all", f"{right}\nnot 77", "cut of", "5"]
    task = task_of(len(texts))
    base = answers_of(task, texts, [False, False, False, True, False])
    fine = [f"answer {each.answer}" for each in task.split("test")]
    tuned = answers_of(task, fine, [False] * len(fine))
    flags = problem_flags(dict.fromkeys(ROLES, task), "test", {"base": base, "tuned": tuned}, None, RULE)
    assert flags[0] == ["base: blank"]
    assert flags[2] == ["base: goes on after a right answer"]
    assert flags[3] == []
    assert all(not any(flag.startswith("tuned") for flag in own) for own in flags)


@pytest.mark.parametrize(
    ("before", "chance", "flagged"),
    [(0.9, 0.1, True), (0.3, 0.1, False), (0.9, 0.88, False), (0.9, np.nan, False)],
)
def test_an_answer_that_was_there_before_the_first_step(before, chance, flagged):
    task = task_of(1)
    own = answers_of(task, [f"answer {problem(0).answer}"], [False])
    ends = Ends([0], np.array([before]), np.array([0.95]), np.array([chance]), np.ones(1, bool), 0)
    flags = problem_flags(
        dict.fromkeys(ROLES, task), "test", dict.fromkeys(ROLES, own), reads_of(ends, {}), RULE
    )
    assert flags == [[f"{role}: as sure before its first step" for role in ROLES] if flagged else []]


@pytest.mark.parametrize(
    "changes", [("unchanged", "filler", "another"), ("unchanged", "filler"), ("filler", "another")]
)
def test_an_answer_that_stays_right_without_its_trace(changes):
    task = task_of(1)
    own = answers_of(task, [f"answer {problem(0).answer}"], [False])
    none = Ends([], np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, bool), 0)
    reads = reads_of(none, dict.fromkeys(changes, True))
    flags = problem_flags(dict.fromkeys(ROLES, task), "test", dict.fromkeys(ROLES, own), reads, RULE)
    assert flags == [[f"{role}: right without its trace" for role in ROLES] if len(changes) == 3 else []]


def reads_of(ends: Ends, right: dict[Change, bool]) -> TraceReads:
    kinds: tuple[Change, ...] = ("unchanged", "filler", "another")
    after = {
        change: AfterChange(change, [0], [""], [None], [None], np.array([right.get(change, False)]))
        for change in kinds
    }
    return TraceReads({("test", role): Traced(ends, after, 1) for role in ROLES}, {})


def test_rows_hold_what_was_graded_and_what_was_not():
    task = task_of(2)
    own = answers_of(task, [f"answer {problem(0).answer}", ""], [False, False])
    rows = problem_rows(task, "test", {"base": own, "tuned": own, "steered": None}, [1], [["a", "b"], []])
    assert [row["flags"] for row in rows] == ["a; b", ""]
    assert [row["gap"] for row in rows] == [False, True]
    assert [row["base_lenient"] for row in rows] == [True, False]
    assert {row["steered_output"] for row in rows} == {None}
