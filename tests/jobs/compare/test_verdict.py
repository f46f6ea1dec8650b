"""The rule from evidence to verdict: over every combination of what lines may say, and over resamples."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress, product
from math import inf, nan
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verdicts import (
    BAD,
    BOTH,
    GOOD,
    RULE,
    N,
    answers,
    below,
    changed_by,
    estimates,
    intervals,
    judged,
    line,
    solving,
)
from undertext.core.statistics import holm, paired_difference, positive_p, resample_weights
from undertext.core.terms import LineName, Role, Says, Verdict
from undertext.jobs.compare.change import changes, gap_between
from undertext.jobs.compare.raw_line import LineEstimates
from undertext.jobs.compare.result import SplitResult
from undertext.jobs.compare.verdict import (
    RESAMPLES,
    capability,
    judge,
    line_says,
    verdicts,
)
from undertext.measures.answers import Answers
from undertext.tasks import Grader

LINES: tuple[LineName, ...] = get_args(LineName)
WITHOUT = tuple(name for name in LINES if name != "rephrased")
SAYS: tuple[Says, ...] = get_args(Says)


def spelt_out(lines: dict[LineName, Says]) -> str:
    """Latent where some key opens it. Absent where none does, it does not go on from right steps, states none
    nor uses them, and is not read; where going on was not measured, nothing may speak for it. Nor where half
    of the change undone brings it back: its steps are there, as where they do not stop and are read."""
    keys: tuple[LineName, ...] = ("behaviour", "rephrased", "prompted", "prefilled", "noised", "recovered")
    if "latent" in [lines.get(key) for key in keys]:
        return "latent"
    tried = [lines.get("recovered"), lines.get("prompted", "absent"), lines.get("prefilled", "absent")]
    shut = set(tried) == {"absent"}
    if "latent" in [lines.get(steps) for steps in ("continued", "stated", "used")]:
        return "parts" if shut else "steps"
    if lines.get("undone") == "latent":
        return "steps"
    if lines.get("continued") == "absent":
        read = lines.get("transported") == "latent" or lines.get("decodable", "absent") != "absent"
        return "absent" if shut and not read else "unclear"
    if "continued" in lines and "latent" in (lines.get("transported"), lines.get("decodable")):
        return "steps"
    if "continued" in lines or not shut or lines.get("decodable") != "absent":
        return "unclear"
    others = [lines.get("transported"), lines.get("retained")]
    return "unclear" if "latent" in others else "absent"


@pytest.mark.parametrize(
    ("lines", "stride"), [pytest.param(WITHOUT, 1, marks=pytest.mark.slow), (LINES, 61), (WITHOUT, 61)]
)
def test_every_combination_of_lines(lines, stride):
    """Each line latent, absent, unclear or not measured, those of the same lines together; or one in so many.
    All are tried without `rephrased`, which counts as `behaviour` does: 4 to the power of 12."""
    count = 0
    for measured in product((False, True), repeat=len(lines)):
        names = list(compress(lines, measured))
        rows = list(product(SAYS, repeat=len(names)))[::stride]
        drawn = np.array(rows).reshape(len(rows), len(names)).T
        says = dict(zip(names, drawn, strict=True))
        wanted = [spelt_out(dict(zip(names, row, strict=True))) for row in rows]
        assert capability(says, len(rows)).tolist() == wanted, names
        count += len(rows)
    assert count >= 4 ** len(lines) / stride


@pytest.mark.parametrize("found", [*SAYS, "parts", "steps"])
@pytest.mark.parametrize("changed", ["better", "worse", "none", "unsure"])
def test_every_change_and_capability(changed, found):
    expected: dict[tuple[str, str], Verdict] = {
        ("better", "latent"): "elicited",
        ("better", "absent"): "taught",
        ("worse", "latent"): "suppressed",
        ("worse", "absent"): "overwritten",
        ("better", "parts"): "composed",
        ("worse", "parts"): "suppressed",
        ("worse", "steps"): "suppressed",
    }
    wanted = "preserved" if changed == "none" else expected.get((changed, found), "undetermined")
    assert verdicts(np.array([changed]), np.array([found])).tolist() == [wanted]


gap = RULE.min_gap


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ((0.01, gap, 0.3), "better"),
        ((0.3, 0.5, 0.7), "better"),
        ((-0.3, -gap, -0.01), "worse"),
        ((-0.06, 0.0, 0.06), "none"),
        ((0.01, gap / 2, gap - 0.01), "none"),  # surely there, and surely too small to count
        ((-gap + 0.01, -gap / 2, -0.01), "none"),
        ((0.0, gap, 0.2), "unsure"),  # touches zero
        ((-0.2, 0.0, 0.2), "unsure"),
        ((0.01, gap - 0.01, gap + 0.05), "unsure"),
        ((-gap, 0.0, 0.05), "unsure"),
        ((-0.4, -gap - 0.1, 0.0), "unsure"),
    ],
)
def test_change(difference, expected):
    assert changes(changed_by(difference), RULE).tolist() == [expected]


bounds = st.tuples(*[st.floats(-3, 3)] * 3).map(sorted)


def says(name: LineName, share: Sequence[float], p: float, n: int = 100, above: float = 0.8) -> str:
    line = estimates(intervals((share[0], share[1], share[2])), p, n, above)
    (said,) = line_says(name, line, np.array([p]), RULE).tolist()
    return str(said)


@given(bounds, st.floats(0, 1), st.sampled_from(LINES), st.integers(0, 40), st.floats(-1, 1))
def test_what_a_line_says(share, p, name, n, above):
    said = says(name, share, p, n, above)
    if said == "latent":
        assert share[0] > (RULE.undone_above if name == "undone" else RULE.latent_above)
        assert p <= RULE.alpha
    if said == "absent":
        assert share[2] < RULE.absent_below
        assert name not in ("behaviour", "rephrased", "noised", "stated", "undone")
    if n < RULE.min_problems or above < RULE.min_over_null:
        assert said == "unclear"


@pytest.mark.parametrize(
    ("share", "p", "expected"),
    [
        ((0.6, 0.8, 0.95), 0.001, "latent"),
        ((0.6, 0.8, 0.95), RULE.alpha + 0.01, "unclear"),
        ((RULE.latent_above, 0.8, 0.95), 0.001, "unclear"),
        ((-0.1, 0.0, 0.2), 0.9, "absent"),
        ((-0.1, 0.0, RULE.absent_below), 0.9, "unclear"),
        ((0.1, 0.4, 0.8), 0.001, "unclear"),
        ((-inf, nan, inf), 0.001, "unclear"),  # no share is taken
    ],
)
def test_a_line_says_what_its_whole_interval_says(share, p, expected):
    assert says("recovered", share, p) == expected
    for name in ("behaviour", "rephrased", "noised", "stated"):
        assert says(name, share, p) == ("unclear" if expected == "absent" else expected)


def test_p_values_are_corrected_for_the_lines_there_are_in_each_resample():
    p = np.array([[0.02, 0.001], [0.03, 0.9]])
    share = intervals((0.8, 0.9, 1.0), (0.8, 0.9, 1.0))
    lines = {name: estimates(share, p[i]) for i, name in enumerate(BOTH)}
    found = judge(
        changed_by((0.3, 0.4, 0.5), (0.3, 0.4, 0.5)), solving(2), below(solving(2)), lines, "base", RULE
    )
    assert np.stack(list(found.p.values())).T.tolist() == holm(p.T).tolist()
    assert found.says["behaviour"].tolist() == ["latent", "latent"]
    assert found.says["recovered"].tolist() == ["latent", "unclear"]
    assert found.verdict.tolist() == ["elicited", "elicited"]


@pytest.mark.parametrize("weaker", ["base", "tuned", "neither"])
def test_lines_speak_of_the_checkpoint_that_they_were_measured_on(weaker):
    sure = estimates(intervals(*[(0.8, 0.9, 1.0)] * 4), 0.0)
    lines: dict[LineName, LineEstimates] = {} if weaker == "neither" else {"recovered": sure}
    difference = changed_by((0.2, 0.3, 0.4), (-0.4, -0.3, -0.2), (-0.05, 0.0, 0.05), (-0.2, 0.0, 0.2))
    better = "elicited" if weaker == "base" else "undetermined"
    worse = "suppressed" if weaker == "tuned" else "undetermined"
    assert judge(difference, solving(4), below(solving(4)), lines, weaker, RULE).verdict.tolist() == [
        better, worse, "preserved", "undetermined",
    ]  # fmt: skip


def result(
    base: Answers,
    tuned: Answers,
    *,
    recovered: float = 0.0,
    decodable: float = 0.0,
    flags: Sequence[str] = (),
) -> SplitResult:
    """With lines in which these shares of the problems, and of those in the gap, are right."""
    both: dict[Role, Answers] = {"base": base, "tuned": tuned}
    weaker, problems = gap_between(both, RULE)
    lines = []
    if weaker != "neither":
        n = len(base.lenient)
        lines = [
            line("recovered", np.arange(n) < recovered * n, np.arange(n)),
            line("decodable", np.arange(len(problems)) < decodable * len(problems), problems),
        ]
    return judged(both, weaker, lines, flags)


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
    found = result(base, tuned, recovered=recovered, decodable=decodable, flags=["seen"])
    assert found.verdict == expected
    assert found.stability > 0.99
    assert found.weaker == ("base" if base is BAD else "tuned")
    assert found.flags == ["seen"]
    assert [each.name for each in found.evidence] == ["recovered", "decodable"]


def test_the_gap_is_what_the_stronger_has_right_and_the_weaker_wrong():
    assert gap_between({"base": BAD, "tuned": GOOD}, RULE) == ("base", list(range(int(0.8 * N))))
    assert gap_between({"base": GOOD, "tuned": BAD}, RULE) == ("tuned", list(range(int(0.8 * N))))


@pytest.mark.parametrize("right", [0.9, 0.0])
def test_without_a_difference_there_is_no_gap(right):
    same = answers(np.arange(N) < right * N)
    assert gap_between({"base": same, "tuned": same}, RULE) == ("neither", [])
    found = result(same, same)
    verdict = "undetermined" if right < RULE.min_gap else "preserved"
    assert (found.verdict, found.weaker, found.stability) == (verdict, "neither", 1.0)
    assert any("neither checkpoint solves" in flag for flag in found.flags) == (right < RULE.min_gap)


def test_too_few_problems_to_see_a_difference_leave_it_open():
    few = [answers(np.arange(10) < right) for right in (5, 6)]
    found = result(few[0], few[1])
    assert (found.verdict, found.weaker) == ("undetermined", "neither")
    assert any("only 10 problems" in flag for flag in found.flags)
    assert found.smallest_detectable_difference > 0.3


def test_accuracies_and_their_difference():
    found = result(BAD, GOOD)
    assert found.accuracy["base"].value == pytest.approx(0.2)
    assert found.accuracy["tuned"].value == pytest.approx(0.9)
    assert found.accuracy["difference"].value == pytest.approx(0.7)
    assert 0.1 < found.smallest_detectable_difference < 0.2


def test_reported_p_values_are_corrected():
    found = result(BAD, GOOD, recovered=0.02, decodable=0.05)
    own = [(0.02, N), (0.05, 160)]
    raw = [positive_p((np.arange(n) < share * n).astype(float), np.ones((1, n)))[0] for share, n in own]
    assert [each.p for each in found.evidence] == pytest.approx(holm(np.array(raw)).tolist())
    assert min(raw) < 0.05


def differing(n: int, gained: int, lost: int) -> tuple[Answers, Answers]:
    """Base and tuned; the tuned gains so many problems and loses so many, and half of the rest are right."""
    base, tuned = (np.arange(n) % 2 == 0 for _ in range(2))
    base[:gained], tuned[:gained] = False, True
    base[gained : gained + lost], tuned[gained : gained + lost] = True, False
    return answers(base), answers(tuned)


@pytest.mark.parametrize(("gained", "lost", "least"), [(13, 7, 0.4), (33, 27, 0.95)])
def test_an_undetermined_difference_is_as_sure_as_this_rule_is_over_resamples(gained, lost, least):
    """0.04 [-0.02, 0.10], whose upper end lies at `min_gap`, and 0.04 [-0.06, 0.14]: on 150 problems."""
    base, tuned = differing(150, gained, lost)
    found = result(base, tuned)
    shown = found.accuracy["difference"]
    assert shown.value == pytest.approx(0.04)
    assert shown.low < 0 < RULE.min_gap < shown.high
    assert found.verdict == "undetermined"
    # The rule for each resample, drawn out as problems and judged by themselves.
    same = 0
    for weights in resample_weights(150, 0, RESAMPLES):
        draw = np.repeat(np.arange(150), weights.astype(int))
        difference = paired_difference(base.lenient[draw], tuned.lenient[draw], RULE.level)
        same += not (-RULE.min_gap < difference.low and difference.high < RULE.min_gap)
    assert found.stability == pytest.approx(same / RESAMPLES)
    assert found.stability > least


def test_stability_is_the_share_of_resamples_that_this_rule_gives_this_verdict(monkeypatch):
    """Each resample is drawn out as problems of its own, and judged alone by the same function."""
    rng = np.random.default_rng(3)
    base, tuned = rng.random(60) < 0.2, rng.random(60) < 0.8
    steered, read = rng.random(60) < 0.62, rng.random(60) < 0.5
    both: dict[Role, Answers] = {"base": answers(base), "tuned": answers(tuned)}
    weaker, problems = gap_between(both, RULE)
    lines = [line("recovered", steered, np.arange(60)), line("decodable", read[problems], problems)]
    monkeypatch.setattr("undertext.jobs.compare.verdict.RESAMPLES", 200)
    found = judged(both, weaker, lines, seed=5)
    monkeypatch.setattr("undertext.jobs.compare.verdict.RESAMPLES", 1)  # of no matter below
    alike = 0
    for weights in resample_weights(60, 5, 200):
        draw = np.repeat(np.arange(60), weights.astype(int))
        drawn: dict[Role, Answers] = {"base": answers(base[draw]), "tuned": answers(tuned[draw])}
        inside = [i for i, problem in enumerate(draw.tolist()) if problem in problems]
        own = [
            line("recovered", steered[draw], np.arange(60)), line("decodable", read[draw][inside], inside)
        ]  # fmt: skip
        if gap_between(drawn, RULE).weaker != weaker:
            own = []
        with_few = [each for each in own if len(each.problems)]
        alike += judged(drawn, weaker, with_few).verdict == found.verdict
    assert 0.05 < found.stability < 0.95, "a verdict that no resample changes tests nothing"
    assert found.stability == pytest.approx(alike / 200)


def test_stability_is_middling_at_a_threshold_and_hangs_on_the_seed_alone():
    found = result(BAD, GOOD, recovered=0.18, decodable=0.0)
    assert 0.2 < found.stability < 0.8
    assert result(BAD, GOOD, recovered=0.18, decodable=0.0).stability == found.stability


def test_lines_on_too_few_problems_are_not_heard():
    few = RULE.min_problems - 2
    found = result(answers(np.zeros(few)), answers(np.ones(few)), recovered=1.0, decodable=1.0)
    assert (found.verdict, found.stability) == ("undetermined", 1.0)
    assert {each.says for each in found.evidence} == {"unclear"}
    assert all(f"only {few} problems" in each.note for each in found.evidence)


@pytest.mark.parametrize(
    ("strict", "part"),
    [
        (np.zeros(N), "+0.00, leniently +0.70; {}: right answers are not in the form asked for"),
        (np.ones(N), "+1.00, leniently +0.70; {} of the first is only the answer's format"),
    ],
)
def test_a_gain_of_form_is_told_from_one_of_substance(strict, part):
    flags = result(answers(BAD.lenient, np.zeros(N)), answers(GOOD.lenient, strict)).flags
    apart = paired_difference(GOOD.lenient.astype(float) - BAD.lenient, strict)
    figure = f"{apart.value:+.2f} [{apart.low:.2f}, {apart.high:.2f}]"
    name = "format only" if strict.any() else "format"
    assert [flag for flag in flags if flag.startswith("format")] == [
        f"{name}: graded strictly the difference, tuned less base, is {part.format(figure)} "
        "(`format_above` 0.1)"
    ]


@pytest.mark.parametrize("count", [10, 24, 60])
def test_form_is_flagged_where_its_interval_clears_the_threshold(count):
    strict = np.arange(N) < count
    both: dict[Role, Answers] = {
        "base": answers(np.ones(N), np.zeros(N)),
        "tuned": answers(np.ones(N), strict),
    }
    flagged = any(flag.startswith("format only: ") for flag in judged(both, "neither", []).flags)
    assert flagged == (paired_difference(np.zeros(N), strict).low > RULE.format_above) == (count == 60)


def test_where_no_form_was_asked_for_none_is_missed():
    both: dict[Role, Answers] = {
        "base": answers(BAD.lenient, np.zeros(N)),
        "tuned": answers(GOOD.lenient, np.zeros(N)),
    }
    (flag,) = judged(both, "neither", [], grader=Grader(kind="number")).flags
    assert "the task asks for no form, and strictly right is the answer and nothing else" in flag


def test_problems_of_few_groups_are_few_problems():
    """200 problems, 60 against 120 right: sure where they stand alone, less so as ten copies of 20."""
    base = np.repeat(np.arange(20) < 6, 10)
    tuned = np.repeat(np.arange(20) < 12, 10)
    alone = result(answers(base), answers(tuned), recovered=0.9, decodable=0.9)
    assert alone.verdict == "elicited"
    groups = np.repeat(np.arange(20), 10)
    both = {
        role: replace(answers(right), clusters=groups) for role, right in (("base", base), ("tuned", tuned))
    }
    found = result(both["base"], both["tuned"], recovered=0.9, decodable=0.9)
    assert found.accuracy["difference"].value == pytest.approx(alone.accuracy["difference"].value)
    difference = found.accuracy["difference"], alone.accuracy["difference"]
    wide, narrow = (each.high - each.low for each in difference)
    assert wide > 2 * narrow
    assert found.smallest_detectable_difference > 2 * alone.smallest_detectable_difference
    assert found.stability < alone.stability
    assert "200 problems of 20 groups: intervals and tests count the groups" in found.flags
    assert "only 20 groups: intervals are wide" in found.flags
