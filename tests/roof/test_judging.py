"""From a split's measurements to its verdict: what is asked for when, and how sure the answer is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tests.sweeps import sweep_of
from undertext.core.statistics import holm
from undertext.jobs.compare.config import verdict_rule
from undertext.jobs.compare.evidence import SplitEvidence
from undertext.jobs.compare.judging import Judged, judge
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.result import SplitResult
from undertext.measures.answers import Answers
from undertext.measures.recovery.candidates import CandidateVectors
from undertext.measures.recovery.search import SteeredAnswers, SteeringSearch
from undertext.steering import Setting
from undertext.tasks import Problem

RULE = verdict_rule()
N = 200


def behaviour(
    right: Sequence[bool] | np.ndarray, strict: Sequence[bool] | np.ndarray | None = None
) -> Answers:
    lenient = np.asarray(right, bool)
    return Answers([""] * len(lenient), lenient if strict is None else np.asarray(strict, bool), lenient)


def recovery() -> SteeredAnswers:
    """The least there can be; judging passes it on."""
    setting = Setting("random 1", (0,), 1.0)
    offered = CandidateVectors((), {"random 1": "none"}, [], {}, {}, {})
    swept = sweep_of([setting], torch.zeros(1, 0, dtype=torch.bool))
    return SteeredAnswers(
        SteeringSearch(offered, swept, {"random 1": setting}, "random 1"), {}, {}, {}, {}, {}, {}
    )


def line(name: Any, weaker: Sequence[float] | np.ndarray, problems: Sequence[int] | np.ndarray) -> RawLine:
    n = len(problems)
    return RawLine(
        name, np.asarray(problems), np.asarray(weaker, float), np.ones(n), np.zeros(n), "none", "made up"
    )


class Evidence:
    """Stands in for the measuring: gives these lines and remembers what it was asked."""

    def __init__(self, *, recovered: float, decodable: float, flags: Sequence[str] = ()) -> None:
        self.recovered, self.decodable, self.flags = recovered, decodable, list(flags)
        self.asked: list[tuple[str, list[int]]] = []

    def __call__(self, weaker: str, gap: Sequence[int]) -> SplitEvidence:
        self.asked.append((weaker, list(gap)))
        steered = np.arange(N) < self.recovered * N
        read = np.arange(len(gap)) < self.decodable * len(gap)
        lines = [line("recovered", steered, np.arange(N)), line("decodable", read, gap)]
        return SplitEvidence(lines, recovery(), self.flags)


def judged(base: Answers, tuned: Answers, evidence: Evidence) -> Judged:
    n = len(base.lenient)
    problems = [Problem(id=str(i), split="test", prompt="p", answer="0") for i in range(n)]
    return judge(base, tuned, problems, RULE, 0, evidence)


def result(base: Answers, tuned: Answers, evidence: Evidence) -> SplitResult:
    return judged(base, tuned, evidence).result


GOOD, BAD = behaviour(np.arange(N) < 0.9 * N), behaviour(np.arange(N) >= 0.8 * N)
"""Right on the first nine tenths; on the last fifth."""


@pytest.mark.parametrize(
    ("base", "tuned", "recovered", "decodable", "expected"),
    [
        (BAD, GOOD, 1.0, 1.0, "elicited"),
        (BAD, GOOD, 0.0, 0.0, "taught"),
        (GOOD, BAD, 1.0, 1.0, "suppressed"),
        (GOOD, BAD, 0.0, 0.0, "overwritten"),
        (GOOD, BAD, 0.0, 1.0, "undetermined"),
    ],
)
def test_the_five_ways_with_a_gap(base, tuned, recovered, decodable, expected):
    evidence = Evidence(recovered=recovered, decodable=decodable, flags=["seen"])
    found = judged(base, tuned, evidence)
    assert found.result.verdict == expected
    assert found.result.confidence > 0.99
    weaker = "base" if base is BAD else "tuned"
    assert found.result.weaker == weaker
    # The gap: what GOOD has right and BAD wrong.
    assert evidence.asked == [(weaker, list(range(int(0.8 * N))))]
    assert found.gap == frozenset(evidence.asked[0][1])
    assert found.result.flags == ["seen"]
    assert [each.name for each in found.result.evidence] == ["recovered", "decodable"]


@pytest.mark.parametrize(("right", "expected"), [(0.9, "preserved"), (0.0, "preserved")])
def test_without_a_difference_no_evidence_is_asked_for(right, expected):
    same = behaviour(np.arange(N) < right * N)
    evidence = Evidence(recovered=1.0, decodable=1.0)
    found = judged(same, same, evidence)
    assert (found.result.verdict, found.result.weaker, found.result.confidence) == (expected, "neither", 1.0)
    assert (evidence.asked, found.latency, found.gap) == ([], None, frozenset())
    assert any("neither checkpoint solves" in flag for flag in found.result.flags) == (right < RULE.min_gap)


def test_too_few_problems_to_see_a_difference_leave_it_open():
    few = [behaviour(np.arange(10) < right) for right in (5, 6)]
    found = result(few[0], few[1], Evidence(recovered=1.0, decodable=1.0))
    assert (found.verdict, found.weaker) == ("undetermined", "neither")
    assert any("only 10 problems" in flag for flag in found.flags)
    assert found.smallest_detectable_difference > 0.3


def test_accuracies_and_their_difference():
    found = result(BAD, GOOD, Evidence(recovered=0.0, decodable=0.0))
    assert found.accuracy["base"].value == pytest.approx(0.2)
    assert found.accuracy["tuned"].value == pytest.approx(0.9)
    assert found.accuracy["difference"].value == pytest.approx(0.7)
    assert 0.1 < found.smallest_detectable_difference < 0.2


def test_p_values_are_corrected_for_the_lines_there_are():
    evidence = Evidence(recovered=0.02, decodable=0.05)
    found = result(BAD, GOOD, evidence)
    lines = Evidence(recovered=0.02, decodable=0.05)("base", evidence.asked[0][1]).lines
    assert [each.p for each in found.evidence] == holm([each.p(seed=0) for each in lines])
    assert found.evidence[1].p > lines[1].p(seed=0) * 1.5 or found.evidence[0].p > lines[0].p(seed=0) * 1.5


def test_confidence_is_the_share_of_resamples_that_agree():
    # Half of the gap recovered: with the line at the threshold, resamples fall to either side of it.
    evidence = Evidence(recovered=RULE.absent_below, decodable=0.0)
    found = result(BAD, GOOD, evidence)
    assert found.verdict == "undetermined"
    assert 0.3 < found.confidence < 0.7
    again = result(BAD, GOOD, Evidence(recovered=RULE.absent_below, decodable=0.0))
    assert again.confidence == found.confidence


def test_lines_on_too_few_problems_are_not_heard():
    few = RULE.min_problems - 2
    weak, strong = behaviour(np.zeros(few, bool)), behaviour(np.ones(few, bool))

    def measure(weaker: str, gap: Sequence[int]) -> SplitEvidence:
        return SplitEvidence(
            [line("recovered", np.ones(few), gap), line("decodable", np.ones(few), gap)], recovery(), []
        )

    problems = [Problem(id=str(i), split="test", prompt="p", answer="0") for i in range(few)]
    found = judge(weak, strong, problems, RULE, 0, measure).result
    assert (found.verdict, found.confidence) == ("undetermined", 1.0)
    assert {each.says for each in found.evidence} == {"unclear"}


@pytest.mark.parametrize(
    ("strict", "part"),
    [
        (np.zeros(N), "+0.00, leniently +0.70; right answers are not in the form asked for"),
        (np.ones(N), "+1.00, leniently +0.70; +0.30 of the first is only the answer's format"),
    ],
)
def test_a_gain_of_form_is_told_from_one_of_substance(strict, part):
    base, tuned = behaviour(BAD.lenient, np.zeros(N)), behaviour(GOOD.lenient, strict)
    flags = result(base, tuned, Evidence(recovered=0.0, decodable=0.0)).flags
    assert [flag for flag in flags if flag.startswith("format")] == [
        f"format: graded strictly the difference is {part}"
    ]
