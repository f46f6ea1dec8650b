"""Where nothing may be said: nobody solves the task, or a checkpoint is broken."""

import numpy as np
import pytest

from tests.verdicts import BAD, DIFFERENCES, GOOD, RULE, N, estimates, intervals, judged, line, solving
from undertext.core.terms import LineName, Role
from undertext.jobs.compare.evidence import LineEstimates, RawLine
from undertext.jobs.compare.verdict import (
    gap_between,
    judge,
)
from undertext.measures.answers import Answers


@pytest.mark.parametrize(
    ("base", "tuned", "expected"),
    [
        (0.5, 0.5, ["elicited", "undetermined", "preserved"]),
        (0.5, 0.0, ["undetermined", "undetermined", "preserved"]),
        (0.0, 0.5, ["elicited", "undetermined", "preserved"]),
        (0.0, 0.0, ["undetermined"] * 3),
        (0.05, 0.05, ["undetermined"] * 3),
    ],
)
def test_without_a_checkpoint_that_solves_the_task_there_is_no_verdict(base, tuned, expected):
    lines: dict[LineName, LineEstimates] = {"recovered": estimates(intervals(*[(0.8, 0.9, 1.0)] * 3), 0.0)}
    found = judge(DIFFERENCES, solving(3, base, tuned), lines, "base", RULE)
    assert found.verdict.tolist() == expected


@pytest.mark.parametrize("latent", [True, False])
@pytest.mark.parametrize(("base", "alike"), [(0.5, []), (0.0, ["base"]), (0.0, ["tuned"]), (-0.3, [])])
def test_a_checkpoint_that_shows_nothing_is_no_evidence_of_absence(latent, base, alike):
    share = (0.8, 0.9, 1.0) if latent else (-0.1, 0.0, 0.1)
    lines: dict[LineName, LineEstimates] = {
        name: estimates(intervals(*[share] * 3), 0.0) for name in ("recovered", "decodable")
    }
    found = judge(DIFFERENCES, solving(3, base, 0.5), lines, "base", RULE, alike)
    broken = base < 0 or "base" in alike
    assert found.verdict[0] == ("elicited" if latent else "undetermined" if broken else "taught")


@pytest.mark.parametrize(("chance", "verdict"), [(0.0, "preserved"), (0.85, "undetermined")])
def test_two_guessers_preserve_nothing(chance, verdict):
    found = judged({"base": GOOD, "tuned": GOOD}, "neither", [], chance=chance)
    assert found.verdict == verdict
    assert found.confidence > 0.95
    assert any("base +0.05, tuned +0.05" in flag for flag in found.flags) == (verdict == "undetermined")


def test_what_a_broken_checkpoint_lacks_is_flagged():
    both: dict[Role, Answers] = {"base": BAD, "tuned": GOOD}
    lines = [line(name, np.zeros(N), np.arange(N)) for name in ("recovered", "decodable")]
    assert judged(both, "base", lines).verdict == "taught"
    for more, said in (
        ({"alike": {"base": "7"}}, "base answers every prompt alike (7)"),
        ({"chance": 0.5}, "base is below chance"),
    ):
        found = judged(both, "base", lines, **more)
        assert found.verdict == "undetermined"
        assert sum(flag.startswith(said) for flag in found.flags) == 1


def test_a_guesser_of_two_answers_is_not_called_latent():
    """pass@8 of a coin is 1 to within 0.004, and the whole of what is over its null."""
    both: dict[Role, Answers] = {"base": GOOD, "tuned": BAD}
    _, problems = gap_between(both, RULE)
    n = len(problems)
    coin = RawLine(
        "behaviour", np.array(problems), np.ones(n), np.ones(n), np.full(n, 0.996), "none", "pass@8"
    )
    found = judged(both, "tuned", [coin])
    assert (found.verdict, found.evidence[0].says) == ("undetermined", "unclear")
    assert (
        "only 0.00 over the null" in found.evidence[0].note or "no share is taken" in found.evidence[0].note
    )
