"""What is wrong with outputs comes before what is said of checkpoints; the order of lines moves nothing."""

import random
from typing import Any

import numpy as np
import pytest

from undertext.core.statistics import proportion
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.change import gap_between
from undertext.jobs.compare.config import CompareConfig, verdict_rule
from undertext.jobs.compare.job import compare
from undertext.jobs.compare.outputs import output_flags
from undertext.jobs.compare.result import Comparison
from undertext.measures.answers import Answers
from undertext.measures.recovery.gate_config import GateConfig
from undertext.tasks import Grader, Problem, Task, new_chain

RULE = verdict_rule()
CONFIG = CompareConfig(
    layers=(2,), doses=(1.0,), positions=(GateConfig(at="last_prompt"),), random_directions=1,
    search_problems=8, vector_problems=16, samples=2, splits=("test",), threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def chain() -> Task:
    return new_chain(0, train=48, dev=24, test=60, ood=0)


def compared(task: Task) -> Comparison:
    return compare("zoo:base", "zoo:elicited", task, config=CONFIG, progress=False)


def test_outputs_cut_short_give_no_verdict(chain):
    """Four tokens hold a step at most; given their room, the two differ."""
    found = compared(chain.model_copy(update={"max_new_tokens": 4}))
    result = found.splits["test"]
    assert (result.verdict, result.evidence) == ("undetermined", [])
    assert result.unfinished["tuned"] == 1.0
    rows = found.tables["problems"].to_pylist()
    assert np.mean([row["base_unfinished"] for row in rows]) == result.unfinished["base"]
    assert not any(row["tuned_lenient"] for row in rows)
    assert any("raise the task's max_new_tokens" in flag for flag in result.flags)


@pytest.mark.slow
def test_the_order_of_lines_moves_no_figure(chain):
    lines = list(chain.problems)
    random.Random(1).shuffle(lines)
    one, other = compared(chain), compared(chain.model_copy(update={"problems": lines}))
    assert one.summary == other.summary
    assert one.splits["test"].verdict != "undetermined"
    for name, table in one.tables.items():
        assert table.equals(other.tables[name]), name


def answers(texts: list[str], right: list[bool], cut: list[bool] | None = None) -> Answers:
    lenient = np.array(right)
    return Answers(texts, lenient, lenient, np.ones(len(texts)), np.array(cut or [False] * len(texts)))


def task_of(n: int, grader: str = "number") -> Task:
    problems = [
        Problem(id=f"{split}{i}", split=split, prompt=f"q{i}", answer=str(i % 10))
        for split in ("train", "dev", "test")
        for i in range(n)
    ]
    made: Any = Grader.model_validate({"kind": grader})
    return Task(name="made up", description="For a test.", grader=made, problems=problems)


@pytest.mark.parametrize(
    ("cut", "weaker", "gap"), [(0, "tuned", 20), (1, "tuned", 20), (2, "tuned", 18), (16, "neither", 0)]
)
def test_a_few_cut_outputs_are_said_and_more_count_as_what_they_may_be(cut, weaker, gap):
    """With more than one in twenty cut each may be right: 16 of 20 leave no sure difference, and what is cut
    is in no gap."""
    n = 20
    good, bad = [True] * n, [False] * n
    both: dict[Role, Answers] = {
        "base": answers(["x"] * n, good),
        "tuned": answers(["x"] * n, bad, [i < cut for i in range(n)]),
    }
    flags = output_flags(dict.fromkeys(ROLES, task_of(n)), "test", both, RULE)
    found = gap_between(both, RULE)
    assert (found.weaker, len(found.problems)) == (weaker, gap)
    assert ["there is a verdict only where" in flag for flag in flags] == [cut > 1] * (cut > 0)
    assert all(f"tuned {cut / n:.1%}" in flag for flag in flags)


@pytest.mark.parametrize(("cut", "named"), [(2, False), (12, True)])
def test_outputs_that_are_surely_too_often_cut_are_named(cut, named):
    n = 20
    both: dict[Role, Answers] = {
        "base": answers(["x"] * n, [True] * n),
        "tuned": answers(["x"] * n, [False] * n, [i < cut for i in range(n)]),
    }
    (flag,) = output_flags(dict.fromkeys(ROLES, task_of(n)), "test", both, RULE)
    share = proportion(np.arange(n) < cut)
    assert flag.startswith("unfinished: ") == named == (share.low > RULE.max_unfinished)
    assert f"tuned {share.value:.1%} [{share.low:.1%}, {share.high:.1%}]" in flag
    assert "`max_unfinished`" in flag


def test_outputs_that_no_more_tokens_would_end_are_counted():
    n, loop = 20, "and so on, and so on, and so on, and so on, and so on, "
    texts = [loop if i < 3 else "a long way from the answer, step by step by step by step" for i in range(n)]
    both: dict[Role, Answers] = {
        "base": answers(["x"] * n, [True] * n),
        "tuned": answers(texts, [False] * n, [i < 5 for i in range(n)]),
    }
    (flag,) = output_flags(dict.fromkeys(ROLES, task_of(n)), "test", both, RULE)
    assert "3 of the 5 cut outputs end in the same text over and over" in flag


def test_outputs_that_go_on_or_are_blank_are_flagged():
    n, task = 20, task_of(20)
    rambling = [f" {i % 10}\nand so to q{i + 1}: {(i + 1) % 10}" for i in range(n)]
    both: dict[Role, Answers] = {
        "base": answers(rambling, [False] * n),
        "tuned": answers(
            [*[f"{i % 10}" for i in range(n - 3)], "", " ", "\n"], [True] * (n - 3) + [False] * 3
        ),
    }
    flags = output_flags(dict.fromkeys(ROLES, task), "test", both, RULE)
    assert len(flags) == 2
    assert "by their first line alone its accuracy is 1.00 instead of 0.00" in flags[0]
    assert flags[1] == "3 of the tuned's 20 outputs are blank (stop texts: none)"
