"""Outputs that were cut are neither right nor wrong: readings of what will be wrong leave them out."""

import re
from typing import Any

import numpy as np
import pytest

from tests.scripted import CUT, scripted
from tests.trails_task import toy, whole_task
from undertext import MeasureConfig, MeasureResult, measure
from undertext.measures.trace.uncertainty import area_under_roc, brier, calibration_error
from undertext.tasks import Problem


def number(problem: Problem) -> int:
    return int(re.sub(r"\D", "", problem.id) or 0)


def says(_: Any, problem: Problem) -> str:
    """Every fifth output is cut, every other one of the rest is wrong."""
    k = number(problem)
    step = problem.steps[0].text
    if k % 5 == 0:
        return f"{step} {step}{CUT}"
    return f"{step} answer {problem.answer if k % 2 else (int(problem.answer) + 1) % 10}"


@pytest.fixture(scope="module")
def found() -> MeasureResult:
    with pytest.MonkeyPatch.context() as patch:
        scripted(patch, says)
        config = MeasureConfig(problems=30, layers=(1,), threads=1)
        return measure(
            toy(), None, whole_task(), ("uncertainty", "confidence"), config=config, progress=False
        )


def test_figures_are_those_of_the_outputs_that_ended(found):
    rows = found.tables["outputs"].to_pylist()
    ended = [row for row in rows if not row["unfinished"]]
    assert (len(rows), len(ended)) == (21, 16)
    p = np.array([row["internal"] for row in ended])
    wrong = np.array([not row["right"] for row in ended])
    for name, value in (
        ("internal: Brier score", brier(p, wrong).mean()),
        ("internal: calibration error", calibration_error(p, wrong)),
        ("internal: area under the ROC curve", area_under_roc(p, wrong)),
    ):
        figure = found.of("uncertainty", name).base
        assert figure is not None
        assert (figure.value, figure.n) == (pytest.approx(value), 16)
    first = {
        row["problem"]: row["probe_will_be_right"]
        for row in found.tables["along"].to_pylist()
        if row["step"] == 0 and row["traces"] == "own traces"
    }
    p = np.array([1 - first[row["problem"]] for row in ended])
    for name, value in (
        ("Brier score", brier(p, wrong).mean()),
        ("area under the ROC curve", area_under_roc(p, wrong)),
    ):
        figure = found.of("confidence", f"will be wrong, by a probe before the first step: {name}").base
        assert figure is not None
        assert (figure.value, figure.n) == (pytest.approx(value), 16)


def test_it_is_said_how_many_were_left_out(found):
    said = {(gap.measure, gap.what): gap.reason for gap in found.unmeasured}
    for measure_ in ("uncertainty", "confidence"):
        for split in ("train", "dev"):
            reason = said[measure_, f"unfinished outputs of {split}, base"]
            assert reason.startswith(f"5 of 21 outputs of {split} were cut before an answer")
        assert said[measure_, "unfinished outputs, base"].startswith("5 of 21 outputs were cut")


def test_too_few_that_ended_are_not_fitted_on(monkeypatch):
    def all_right_but_cut(_: Any, problem: Problem) -> str:
        step = problem.steps[0].text
        return f"{step}{CUT}" if number(problem) % 2 else f"{step} answer {problem.answer}"

    scripted(monkeypatch, all_right_but_cut)
    config = MeasureConfig(problems=8, layers=(1,), threads=1)
    result = measure(toy(), None, whole_task(), ("uncertainty", "confidence"), config=config, progress=False)
    assert not [each for each in result.measured if each.measure == "uncertainty"]
    assert not [each for each in result.measured if "will be wrong" in each.figure]
    said = {(gap.measure, gap.what): gap.reason for gap in result.unmeasured}
    assert said["uncertainty", "base"].startswith("train or dev holds too few right answers")
    reason = said["confidence", "whether the answer will be right, by a probe, base, own traces"]
    assert reason.startswith("1 labels stand on 5 traces of train")
