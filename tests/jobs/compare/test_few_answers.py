"""Keys on a task with two answers, where who guesses is right every second time.

Each answer there is a guess or known. What a key opens is a share of what the stronger checkpoint shows over
the weaker one; the outputs to what stays shut are guessed anew, or are the weaker's own.
"""

from collections import Counter

import numpy as np
import pytest

from tests.jobs.compare.two_answers import luck, two_answers
from tests.verdicts import RULE, estimates, intervals
from undertext.core.statistics import holm
from undertext.core.terms import Role
from undertext.jobs.compare.evidence import key_lines
from undertext.jobs.compare.guessed import guessed_anew
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.result import EvidenceLine
from undertext.jobs.compare.verdict import line_says, split_result
from undertext.measures.answers import Answers
from undertext.measures.keys import Key, KeysTried

N = 200
TRIED = KeysTried([key := Key("worded", "prompted", "none")], {"worded": 0.5}, {"prompted": key}, [])


def keyed(opened: float, stronger: float, seed: int, *, known: float = 0.0, guesses: str = "anew") -> RawLine:
    """The line of a key that opens this share of what the stronger knows and the weaker does not."""
    rng = np.random.default_rng(seed)
    truth, order = np.arange(N) % 2 == 1, rng.random(N)
    drawn = rng.random((3, N)) < 0.5

    def knowing(share: float, otherwise: np.ndarray) -> np.ndarray:
        return np.where(order < share, truth, otherwise)

    task, weaker = two_answers(knowing(known, drawn[0]))
    rest = {"anew": drawn[1], "as before": drawn[0], "alike": np.ones(N, bool)}[guesses]
    under_key = two_answers(knowing(known + opened * (stronger - known), rest))[1]
    best = two_answers(knowing(stronger, drawn[2]))[1]
    (line,) = key_lines(TRIED, {"prompted": under_key}, task, "test", weaker, best, luck(task, weaker))
    return line


def said(line: RawLine) -> str:
    found = line.estimates(np.ones((1, N)), RULE.level)
    (word,) = line_says(line.name, found, holm(found.p[:, None])[:, 0], RULE).tolist()
    return str(word)


def how_often(opened: float, stronger: float, draws: int = 60, **more: object) -> Counter[str]:
    return Counter(said(keyed(opened, stronger, seed, **more)) for seed in range(draws))  # type: ignore[arg-type]


@pytest.mark.parametrize("guesses", ["anew", "as before", "alike"])
@pytest.mark.parametrize("known", [0.0, 0.4])
def test_a_key_that_opens_half_is_not_called_shut(guesses, known):
    """The interval's upper end is below a half as seldom as its level says, where the share is a half."""
    found = how_often(0.5, 1.0, known=known, guesses=guesses)
    assert found["absent"] <= 4
    assert how_often(0.7, 1.0, 20, known=known, guesses=guesses)["absent"] == 0


@pytest.mark.parametrize("guesses", ["anew", "as before", "alike"])
def test_a_key_that_opens_nothing_is_called_shut(guesses):
    assert how_often(0.0, 1.0, guesses=guesses)["absent"] >= 57


@pytest.mark.parametrize("known", [0.0, 0.4])
@pytest.mark.parametrize("opened", [0.0, 0.1])
def test_what_opens_nothing_or_little_is_never_called_latent(opened, known):
    for guesses in ("anew", "as before", "alike"):
        for stronger in (1.0, 0.7):
            assert how_often(opened, stronger, 12, known=known, guesses=guesses)["latent"] == 0


def test_where_lucky_answers_leave_no_share_a_key_that_changes_nothing_is_shut():
    """The stronger knows half and has 0.75, as many as the weaker's lucky answers and guesses beside them."""
    lines = [keyed(0.0, 0.5, seed, guesses="as before") for seed in range(20)]
    assert sum(np.isnan(line.share(RULE.level).value) for line in lines) >= 15
    assert Counter(said(line) for line in lines)["absent"] >= 15
    assert how_often(0.5, 0.5)["absent"] <= 2


@pytest.mark.parametrize(("above", "said"), [(0.5, "absent"), (RULE.min_over_null - 0.01, "unclear")])
def test_no_share_of_next_to_nothing_is_taken_over_guesses_made_anew_either(above, said):
    line = estimates(intervals((-np.inf, np.nan, np.inf)), 1.0)._replace(
        anew=np.array([0.1]), above_anew=np.array([above])
    )
    assert line_says("prompted", line, np.array([1.0]), RULE).tolist() == [said]


def test_a_key_that_surely_does_more_than_a_poor_stronger_one_is_latent():
    """The stronger knows 0.4 of the problems and the key opens all: no share, and proof all the same."""
    lines = [keyed(1.0 / 0.4, 0.4, seed) for seed in range(20)]
    assert all(np.isnan(line.share(RULE.level).value) or said(line) == "latent" for line in lines)
    assert Counter(said(line) for line in lines)["latent"] == 20
    assert any("surely does better than the stronger" in reported(line).note for line in lines)


def test_the_second_null_is_named_where_it_differs():
    line = keyed(0.0, 1.0, 0)
    over = guessed_share(line)
    assert f"; over guesses made anew {over:.2f} [" in reported(line).note


def reported(line: RawLine) -> EvidenceLine:
    """As a split shows the line where it is the only one."""
    task, weaker = two_answers(np.zeros(N, bool))
    both: dict[Role, Answers] = {"base": weaker, "tuned": two_answers(np.arange(N) % 2 == 1)[1]}
    chance = {role: luck(task, each) for role, each in both.items()}
    return split_result(both, chance, {}, "base", [line], [], RULE, 0, grader=task.grader).evidence[0]


def guessed_share(line: RawLine) -> float:
    assert line.anew is not None
    return float((line.weaker - line.anew).mean() / (line.stronger - line.anew).mean())


@pytest.mark.parametrize(("right", "by_chance"), [(0.3, 0.5), (0.5, 0.5), (0.7, 0.5), (0.2, 0.0)])
def test_guesses_made_anew_solve_what_is_known_and_what_chance_gives(right, by_chance):
    before = (np.arange(N) < right * N).astype(float)
    found = guessed_anew(before, np.full(N, by_chance), np.full(N, 0.25))
    known = max(0.0, (right - by_chance) / (1 - by_chance))
    assert found.mean() == pytest.approx(known + (1 - known) * 0.25)
