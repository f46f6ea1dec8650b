"""`measure criteria`: good steps carried to types never seen, where it is known what carries."""

import random
from typing import Any

import numpy as np
import pytest

from tests.trails_task import toy
from undertext import MeasureConfig, MeasureResult, measure
from undertext.core.statistics import paired_difference
from undertext.tasks import Grader, Problem, Task

CONFIG = MeasureConfig(problems=40, fit_problems=120, layers=(0, 1), threads=1)
UNSEEN, SEEN = "good step, types never seen", "good step, all types"


def graded_task(rule: str) -> Task:
    """Steps of three types, half of them invalid: by one word in every type, or by another word in each."""
    rng, problems = random.Random(0), []
    words = {"sum": ("d", "e"), "find": ("f", "g"), "so": ("h", "i")}
    for split, n in (("train", 120), ("dev", 60), ("test", 60)):
        for k in range(n):
            kind = tuple(words)[k % 3]
            steps: list[dict[str, Any]] = []
            for _ in range(2):
                valid = rng.random() < 0.5
                word = ("d", "e")[valid] if rule == "one" else words[kind][valid]
                steps.append({"text": f"a = {rng.randrange(10)} {word}", "valid": valid})
            trace = " ".join([*(step["text"] for step in steps), "answer 1"])
            problems.append(
                Problem.model_validate(
                    {"id": f"{split}{k}", "split": split, "prompt": f"{split} {k} {kind} :", "answer": "1",
                     "trace": trace, "steps": steps, "type": kind}
                )
            )  # fmt: skip
    grader = Grader(kind="regex", pattern=r"answer (\d+)")
    return Task(name="good", description="d", grader=grader, problems=problems, max_new_tokens=4)


@pytest.fixture(scope="module")
def found() -> dict[str, MeasureResult]:
    return {
        rule: measure(toy(seed=0), toy(seed=1), graded_task(rule), "criteria", config=CONFIG, progress=False)
        for rule in ("one", "each")
    }


def value(result: MeasureResult, figure: str) -> float:
    estimate = result.of("criteria", figure).base
    assert estimate is not None
    return estimate.value


@pytest.mark.slow
def test_a_rule_that_is_one_everywhere_is_carried_and_a_rule_of_each_type_is_not(found):
    assert value(found["one"], f"{UNSEEN}: read right") > 0.9
    assert value(found["one"], f"{UNSEEN}: over chance") > 0.3
    assert value(found["each"], f"{SEEN}: read right") > 0.9
    assert value(found["each"], f"{UNSEEN}: read right") < 0.8
    assert value(found["each"], "good step: types never seen less all types") < -0.2
    # What one word says, the surface knows as well.
    assert value(found["one"], f"{UNSEEN}: read right by the surface alone") > 0.9
    assert abs(value(found["one"], f"{UNSEEN}: over the surface")) < 0.1


@pytest.mark.slow
def test_figures_and_the_change_rest_on_problems(found):
    result = found["one"]
    rows: list[dict[str, Any]] = result.tables["readings"].to_pylist()
    per: dict[str, dict[str, float]] = {}
    for role in ("base", "tuned"):
        held: dict[str, list[float]] = {}
        for row in rows:
            if row["checkpoint"] == role and row["reading"] == UNSEEN:
                held.setdefault(row["problem"], []).append(row["right"] - row["surface"])
        per[role] = {problem: float(np.mean(own)) for problem, own in sorted(held.items())}
    a, b = (np.array([*per[role].values()]) for role in ("base", "tuned"))
    figure = result.of("criteria", f"{UNSEEN}: over the surface")
    for own, estimate in ((a, figure.base), (b, figure.tuned)):
        wanted = paired_difference(np.zeros(len(own)), own)
        assert estimate is not None
        assert (estimate.value, estimate.high) == (pytest.approx(wanted.value), pytest.approx(wanted.high))
    assert figure.change is not None
    assert figure.change.value == pytest.approx(float(np.mean(b - a)))
    assert figure.change.low <= figure.change.value <= figure.change.high
    assert figure.change.n == len(a) == 40


@pytest.mark.parametrize(
    ("update", "reason"),
    [({"type": None}, "problems are of one type, or of none"), ({"type": "one"}, "problems are of one type"),
     ({"steps": []}, "the task names no steps"), ("valid", "the task calls all of its steps valid")],
)  # fmt: skip
def test_what_there_is_nothing_to_carry_of(update, reason):
    task = graded_task("one")

    def of(problem: Problem) -> Problem:
        if update == "valid":
            steps = [step.model_copy(update={"valid": True}) for step in problem.steps]
            return problem.model_copy(update={"steps": steps})
        return problem.model_copy(update=update)

    changed = task.model_copy(update={"problems": [of(problem) for problem in task.problems]})
    result = measure(toy(), None, changed, "criteria", config=CONFIG, progress=False)
    (gap,) = result.unmeasured
    assert gap.reason.startswith(reason)
    assert result.measured == []
