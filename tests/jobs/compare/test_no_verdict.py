"""Where nothing may be said: nobody solves the task, or a checkpoint is broken."""

import numpy as np
import pytest

from tests.verdicts import (
    BAD,
    DIFFERENCES,
    GOOD,
    RULE,
    N,
    answers,
    below,
    estimates,
    intervals,
    judged,
    line,
    solving,
)
from undertext.core.terms import LineName, Role
from undertext.jobs.compare.change import gap_between
from undertext.jobs.compare.raw_line import LineEstimates, RawLine
from undertext.jobs.compare.verdict import judge
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
    over = solving(3, base, tuned)
    found = judge(DIFFERENCES, over, below(over), lines, "base", RULE)
    assert found.verdict.tolist() == expected


@pytest.mark.parametrize("latent", [True, False])
@pytest.mark.parametrize(("base", "alike"), [(0.5, []), (0.0, ["base"]), (0.0, ["tuned"]), (-0.3, [])])
def test_a_checkpoint_that_shows_nothing_is_no_evidence_of_absence(latent, base, alike):
    share = (0.8, 0.9, 1.0) if latent else (-0.1, 0.0, 0.1)
    lines: dict[LineName, LineEstimates] = {
        name: estimates(intervals(*[share] * 3), 0.0) for name in ("recovered", "decodable")
    }
    over = solving(3, base, 0.5)
    found = judge(DIFFERENCES, over, below(over), lines, "base", RULE, alike)
    broken = base < 0 or "base" in alike
    assert found.verdict[0] == ("elicited" if latent else "undetermined" if broken else "taught")


@pytest.mark.parametrize(("chance", "verdict"), [(0.0, "preserved"), (0.85, "undetermined")])
def test_two_guessers_preserve_nothing(chance, verdict):
    found = judged({"base": GOOD, "tuned": GOOD}, "neither", [], chance=chance)
    assert found.verdict == verdict
    assert found.stability > 0.95
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


def test_a_guesser_that_is_a_little_unlucky_is_not_called_broken():
    """0.10 on 300 problems where guessing gives 0.14: an interval of 0.95 is below that, one of 0.999 is not.

    Of checkpoints that guess, one split in forty is so; none right of 300 is no bad luck.
    """
    weaker = np.zeros(300, bool)
    weaker[:30] = True
    solved = np.ones(300, bool)
    lines = [line(name, np.zeros(200), np.arange(200)) for name in ("recovered", "decodable")]
    for right, verdict in ((weaker, "taught"), (np.zeros(300, bool), "undetermined")):
        both: dict[Role, Answers] = {"base": answers(right), "tuned": answers(solved)}
        assert judged(both, "base", lines, chance=0.14).verdict == verdict
