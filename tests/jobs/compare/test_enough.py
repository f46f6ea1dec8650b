"""How many problems would be enough: against draws of so many, and over what is repeated, nearer or wider."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.verdicts import RULE, answers, judged, line
from undertext.core.statistics import Intervals, paired_difference
from undertext.core.terms import Role
from undertext.jobs.compare.change import Change, changes, gap_between
from undertext.jobs.compare.enough import two_digits
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.result import SplitResult
from undertext.measures.answers import Answers

ENOUGH = re.compile(r"about ([\d,]+) problems like these(?: of ([\d,]+) groups)? would be enough")
NEVER = "no number of problems like these would be enough"
NUMBERS = two_digits(0, 20_000)
NAMES = ("recovered", "prompted", "continued")

pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.fixture(scope="module")
def few_resamples():
    """Confidence is of no matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("undertext.jobs.compare.verdict.RESAMPLES", 1)
        yield


def numbers(found: SplitResult) -> list[int | None]:
    """The numbers of problems, and of groups, that a flag says are enough; none without such a flag."""
    matches = [match for flag in found.flags if (match := ENOUGH.match(flag))]
    assert len(matches) + sum(flag.startswith(NEVER) for flag in found.flags) <= 1
    return [None if n is None else int(n.replace(",", "")) for match in matches for n in match.groups()]


def number(found: SplitResult) -> int | None:
    """The number of problems alone."""
    return next(iter(numbers(found)), None)


def changed(n: int, gained: int, lost: int) -> dict[Role, Answers]:
    """The tuned gains so many problems and loses so many; both are right on half of the rest."""
    base, tuned = (np.arange(n) % 2 == 0 for _ in range(2))
    base[:gained], tuned[:gained] = False, True
    base[gained : gained + lost], tuned[gained : gained + lost] = True, False
    return {"base": answers(base), "tuned": answers(tuned)}


def unlike(n: int, *, better: Role = "tuned") -> dict[Role, Answers]:
    """One is right on nine tenths of the problems, and the other one on the first fifth."""
    good, bad = answers(np.arange(n) < 0.9 * n), answers(np.arange(n) < 0.2 * n)
    return {"base": bad, "tuned": good} if better == "tuned" else {"base": good, "tuned": bad}


def with_shares(n: int, better: Role = "tuned", **shares: float) -> SplitResult:
    """Lines over all problems that show these shares of them, evenly spread."""
    both = unlike(n, better=better)
    lines = [
        line(name, np.diff(np.floor(np.arange(n + 1) * each)), range(n)) for name, each in shares.items()
    ]
    return judged(both, gap_between(both, RULE).weaker, lines)


DRAWS = 30


@pytest.fixture
def in_draws(monkeypatch):
    """What the rule gives on so many problems that are drawn from these, with all that is known of each."""

    def drawn(both: dict[Role, Answers], lines: Sequence[RawLine], count: int) -> list[SplitResult]:
        monkeypatch.setattr("undertext.jobs.compare.verdict.enough", lambda *_: None)
        rng, found = np.random.default_rng(0), []
        for _ in range(DRAWS):
            picked = rng.integers(0, len(both["base"].lenient), count)
            again: dict[Role, Answers] = {role: answers(each.lenient[picked]) for role, each in both.items()}
            own = [line(each.name, each.weaker[picked], range(count)) for each in lines]
            weaker = gap_between(again, RULE).weaker
            found.append(judged(again, weaker, [] if weaker == "neither" else own))
        return found

    return drawn


@pytest.mark.parametrize(("gained", "lost", "word"), [(8, 3, "better"), (3, 8, "worse"), (3, 3, "none")])
def test_with_so_many_most_draws_tell_whether_accuracy_changed(gained, lost, word):
    found = judged(changed(40, gained, lost), "neither", [])
    many = number(found)
    assert found.verdict == "undetermined"
    assert many is not None
    difference = np.repeat([1.0, -1.0, 0.0], [gained, lost, 40 - gained - lost])
    rng, rates = np.random.default_rng(0), []
    for count in (many, max(40, many // 4)):
        shown = [paired_difference(np.zeros(count), rng.choice(difference, count)) for _ in range(300)]
        intervals = Intervals(*(np.array([getattr(e, name) for e in shown]) for name in Intervals._fields))
        drawn = Change(intervals, intervals, intervals)
        rates.append((changes(drawn, RULE) == word).mean())
    assert rates[0] > 0.8
    assert rates[1] < 0.8, "a fourth of them is not enough"


@pytest.mark.parametrize(
    ("better", "shares", "verdict"),
    [
        ("tuned", {"recovered": 0.62, "prompted": 0.1, "continued": 0.9}, "elicited"),
        pytest.param(
            "base",
            {"recovered": 0.1, "prompted": 0.6, "continued": 0.1},
            "suppressed",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "tuned", {"recovered": 0.15, "prompted": 0.15, "continued": 0.1}, "taught", marks=pytest.mark.slow
        ),
        pytest.param(
            "base",
            {"recovered": 0.1, "prompted": 0.1, "continued": 0.15},
            "overwritten",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "tuned",
            {"recovered": 0.15, "prompted": 0.1, "continued": 0.9},
            "composed",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_with_so_many_most_draws_have_the_verdict(in_draws, better, shares, verdict):
    found = with_shares(40, better, **shares)
    many = number(found)
    assert found.verdict == "undetermined"
    assert many is not None
    both, rng = unlike(4000, better=better), np.random.default_rng(1)
    lines = [
        line(each.name, rng.permutation(np.arange(4000) < 4000 * each.share.value), range(4000))
        for each in found.evidence
    ]
    rates = []
    for count in (many, max(40, many // 4)):
        verdicts = [each.verdict for each in in_draws(both, lines, count)]
        rates.append(verdicts.count(verdict) / DRAWS)
    assert rates[0] > 0.7
    assert rates[1] < 0.7, "a fourth of them is not enough"


def test_what_is_too_wide_is_named():
    (flag,) = (f for f in with_shares(60, recovered=0.62, continued=0.1).flags if "enough" in f)
    assert flag.endswith(
        "would be enough for a verdict, at these estimates; there are 60, too few for `recovered`"
    )
    (flag,) = (f for f in judged(changed(40, 8, 3), "neither", []).flags if "enough" in f)
    assert "would be enough to tell whether accuracy changed, at these estimates; there are 40" in flag
    assert flag.endswith("too few for the difference in accuracy")
    (flag,) = (f for f in judged(changed(40, 3, 3), "neither", []).flags if "enough" in f)
    assert "would be enough for a verdict" in flag


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (
            lambda: with_shares(200, recovered=0.37, prompted=0.1, continued=0.1),
            "for a verdict: a share is surely neither over 0.50 nor below 0.25, or too near to one of them "
            "(`recovered` 0.37)",
        ),
        (
            lambda: with_shares(200, recovered=0.5, prompted=0.1, continued=0.4),
            "for a verdict: a share is surely neither over 0.50 nor below 0.25, or too near to one of them "
            "(`recovered` 0.50)",
        ),
        (
            lambda: with_shares(200, "base", recovered=0.1, prompted=0.1, continued=0.25),
            "(`continued` 0.25)",
        ),
        (
            lambda: judged(changed(60, 10, 4), "neither", []),
            "to tell whether accuracy changed: the difference in accuracy, +0.10, is too near to +0.10 to be",
        ),
        (
            lambda: judged(changed(60, 4, 10), "neither", []),
            "to tell whether accuracy changed: the difference in accuracy, -0.10, is too near to -0.10 to be",
        ),
    ],
)
def test_at_a_threshold_no_number_is_named_and_it_is_said(found, why):
    result = found()
    assert result.verdict == "undetermined"
    assert number(result) is None
    (flag,) = (flag for flag in result.flags if flag.startswith(NEVER))
    assert why in flag


def of_cut_outputs() -> SplitResult:
    both = changed(40, 8, 3)
    cut = np.arange(40) < 10
    return judged({**both, "tuned": replace(both["tuned"], unfinished=cut)}, "neither", [])


@pytest.mark.parametrize(
    "found",
    [
        lambda: with_shares(200, recovered=0.1, prompted=0.1),  # `continued` could not be measured
        lambda: with_shares(
            200, recovered=0.1, prompted=0.1, continued=0.1, transported=0.9
        ),  # they conflict
        lambda: judged({"base": answers(np.zeros(40)), "tuned": answers(np.zeros(40))}, "neither", []),
        of_cut_outputs,
    ],
    ids=["a line is missing", "lines conflict", "neither solves", "outputs are cut"],
)
def test_what_more_problems_would_not_mend_has_no_number(found):
    result = found()
    assert result.verdict == "undetermined"
    assert not [flag for flag in result.flags if "would be enough" in flag]


shares = st.fixed_dictionaries({name: st.floats(0.0, 1.0) for name in NAMES})


@given(st.integers(8, 120), shares, st.sampled_from(["base", "tuned"]))
@settings(max_examples=20, deadline=None)
def test_a_number_is_of_two_digits_and_more_than_there_are_and_comes_with_no_verdict(n, shares, better):
    found = with_shares(n, better, **shares)
    many = number(found)
    if found.verdict != "undetermined":
        assert not [flag for flag in found.flags if "would be enough" in flag]
    if many is not None:
        assert many > n
        assert set(str(many)[2:]) <= {"0"}
        assert many <= max(100 * n, 10_000)


@given(st.integers(10, 80), st.integers(0, 10), st.integers(0, 10), st.integers(2, 3))
@settings(max_examples=20, deadline=None)
def test_the_same_problems_again_ask_for_as_many_in_all(n, gained, lost, times):
    assume(gained + lost <= n)
    one = changed(n, gained, lost)
    again: dict[Role, Answers] = {role: answers(np.tile(each.lenient, times)) for role, each in one.items()}
    found = [judged(each, "neither", []) for each in (one, again)]
    many, more = map(number, found)
    assume(many is not None and many > times * n)
    assert many is not None
    if more is None:  # there are so many by now that it is told
        assert gap_between(again, RULE).weaker != "neither" or found[1].verdict == "preserved"
        return
    at = NUMBERS.index(many)
    assert more in NUMBERS[at - 1 : at + 2]  # sums are in another order


@given(st.integers(20, 100), st.lists(st.integers(1, 100), min_size=2, max_size=2, unique=True))
@settings(max_examples=20, deadline=None)
def test_the_nearer_to_its_threshold_the_more_problems(n, counts):
    near, far = (0.5 + 0.5 * count / 100 for count in sorted(counts))
    found = [with_shares(n, recovered=share, prompted=0.0, continued=0.0) for share in (near, far)]
    if found[0].verdict != "undetermined":
        assert found[1].verdict != "undetermined"
    many, fewer = (number(each) for each in found)
    if many is not None and fewer is not None:
        assert many >= fewer


def test_groups_are_what_is_counted():
    """Problems of a group that are all alike say no more than one: three times as many are needed."""
    alone = changed(40, 8, 3)
    grouped: dict[Role, Answers] = {
        role: replace(answers(np.repeat(each.lenient, 3)), clusters=np.repeat(np.arange(40), 3))
        for role, each in alone.items()
    }
    many, groups = numbers(judged(grouped, "neither", []))
    assert many is not None
    assert groups is not None
    assert groups == pytest.approx(many / 3, abs=1)
    single = number(judged(alone, "neither", []))
    assert single is not None
    assert 0.9 * single <= groups <= 1.2 * single
    alike: dict[Role, Answers] = {role: replace(each, clusters=None) for role, each in grouped.items()}
    assert gap_between(alike, RULE).weaker == "base", "taken one by one they seem to be enough"


def test_numbers_of_two_digits():
    assert two_digits(7, 12) == [8, 9, 10, 11, 12]
    assert two_digits(97, 130) == [98, 99, 100, 110, 120, 130]
    assert two_digits(994, 1200) == [1000, 1100, 1200]
    assert two_digits(200, 200) == []
