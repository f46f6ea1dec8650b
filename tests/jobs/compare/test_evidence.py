"""Lines of evidence: figures, shares, and what they come to say, recomputed from the definitions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.checker import signatures_unchecked
from tests.jobs.compare.two_answers import luck, two_answers
from tests.made_up_task import task_of
from tests.sweeps import sweep_of
from undertext.core.statistics import pass_at_k, resample_weights
from undertext.core.terms import Access, Role
from undertext.jobs.compare.changed_weights import undone_line
from undertext.jobs.compare.config import CompareConfig, verdict_rule
from undertext.jobs.compare.evidence import behaviour_line, not_specific, recovered_line
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.result import EvidenceLine
from undertext.jobs.compare.verdict import split_result
from undertext.measures.answers import Answers, Samples
from undertext.measures.recovery.candidates import CandidateVectors, Control
from undertext.measures.recovery.search import SteeredAnswers, SteeringSearch
from undertext.steering import Gate, Setting, SteeringVector
from undertext.tasks import Problem, grade
from undertext.tasks.output_grader import chance_right

RULE = verdict_rule()


def made(
    weaker: np.ndarray, stronger: np.ndarray, null: np.ndarray, name: Any = "recovered", **more: Any
) -> RawLine:
    figures = {"weaker": weaker, "stronger": stronger, "null": null, "problems": np.arange(len(weaker))}
    return RawLine(**{"name": name, "access": "none", "note": "as made up here", **figures, **more})


def drawn(n: int, weaker: float, stronger: float, null: float, seed: int = 0) -> RawLine:
    """Right or wrong with these shares; the null is a chance a problem."""
    rng = np.random.default_rng(seed)
    right = [(rng.random(n) < share).astype(float) for share in (weaker, stronger)]
    return made(right[0], right[1], np.full(n, null))


def answers(right: np.ndarray) -> Answers:
    return Answers(
        [""] * len(right),
        right.astype(bool),
        right.astype(bool),
        np.ones(len(right)),
        np.zeros(len(right), bool),
    )


def reported(line: RawLine) -> EvidenceLine:
    """As a split shows the line where it is the only one, with the base the weaker."""
    n = int(line.problems.max()) + 1
    both: dict[Role, Answers] = {"base": answers(np.zeros(n)), "tuned": answers(np.ones(n))}
    return split_result(
        both,
        {role: np.zeros(len(each.lenient)) for role, each in both.items()},
        {},
        "base",
        [line],
        [],
        RULE,
        0,
        grader=TASK.grader,
    ).evidence[0]


@pytest.mark.parametrize(("cut", "says"), [(0, "absent"), (20, "absent"), (80, "unclear")])
def test_absent_is_said_where_it_would_be_if_unfinished_outputs_were_right(cut, says):
    """Of 200 problems none is recovered and so many outputs are unfinished."""
    unfinished = np.arange(200) < cut
    line = made(np.zeros(200), np.ones(200), np.full(200, 0.05), unfinished=unfinished)
    assert reported(line).says == says
    itself = line.estimates(np.ones((1, 200)), RULE.level)
    right = made(unfinished.astype(float), np.ones(200), np.full(200, 0.05))
    assert itself.highest[0] == pytest.approx(right.share(RULE.level).high)
    assert itself.share.high[0] == pytest.approx(
        made(np.zeros(200), np.ones(200), line.null).share(0.95).high
    )


def test_the_share_is_what_the_weaker_has_of_the_stronger_over_the_null():
    line = drawn(400, 0.6, 0.9, 0.2)
    found = line.share(0.95)
    wanted = (line.weaker.mean() - 0.2) / (line.stronger.mean() - 0.2)
    assert found.value == pytest.approx(wanted)
    # The delta method's interval for a ratio of means.
    residual = (line.weaker - 0.2) - wanted * (line.stronger - 0.2)
    half = 1.96 * residual.std() / np.sqrt(400) / (line.stronger.mean() - 0.2)
    assert (found.low, found.high) == pytest.approx((wanted - half, wanted + half), abs=0.1 * half)


@given(st.integers(2, 12), st.integers(0, 40), st.data())
def test_a_resample_s_estimates_are_those_of_the_problems_drawn(n, seed, data):
    size = n + data.draw(st.integers(0, 8))
    problems = np.array(sorted(data.draw(st.permutations(range(size)))[:n]))
    rng = np.random.default_rng(seed)
    columns = [rng.choice([0.0, 0.5, 1.0], n) for _ in range(3)]
    line = made(columns[0], columns[1], columns[2], problems=problems)
    weights = resample_weights(size, seed, 20)
    draws = [np.repeat(np.arange(size), each.astype(int)) for each in weights]
    estimates = line.estimates(weights, 0.95)
    place = {problem: i for i, problem in enumerate(problems.tolist())}
    for k, draw in enumerate(draws):
        inside = [place[problem] for problem in draw.tolist() if problem in place]
        assert estimates.n[k] == len(inside)
        if inside:
            own = made(*(column[inside] for column in columns))
            alone = own.share(0.95)
            found = [column[k] for column in estimates.share]
            assert found == pytest.approx([alone.value, alone.low, alone.high], nan_ok=True)
            assert estimates.p[k] == pytest.approx(own.estimates(np.ones((1, len(inside))), 0.95).p[0])
        else:
            assert (estimates.share.low[k], estimates.share.high[k]) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("stronger", "null"),
    [(0.5, 0.5), (0.2, 0.8), (0.5, 0.49)],
    ids=["no gap", "the stronger is under the null", "a gap that may be none"],
)
def test_without_a_sure_gap_no_share_is_taken(stronger, null):
    rng = np.random.default_rng(0)
    right = (rng.random(60) < stronger).astype(float)
    line = made(np.ones(60), right, np.full(60, null))
    share = line.share(0.95)
    assert np.isnan(share.value)
    assert (share.low, share.high) == (-np.inf, np.inf)
    shown = reported(line)
    assert shown.says == "unclear"
    assert "no share is taken" in shown.note


@pytest.mark.parametrize(
    ("weaker", "expected"), [(0.9, "latent"), (0.45, "latent"), (0.3, "unclear"), (0.02, "unclear")]
)
def test_half_undone_says_latent_from_a_quarter_on_and_never_absent(weaker, expected):
    assert RULE.undone_above == pytest.approx(0.25)
    assert reported(replace(drawn(300, weaker, 0.95, 0.1), name="undone")).says == expected


@pytest.mark.parametrize(("weaker", "expected"), [(0.9, "latent"), (0.02, "absent"), (0.4, "unclear")])
def test_a_line_says_what_its_share_says(weaker, expected):
    line = drawn(300, weaker, 0.95, 0.1)
    shown = reported(line)
    assert shown.says == expected
    share = line.share(RULE.level)
    assert f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]" in shown.note
    assert shown.note.startswith("as made up here; ")
    assert (shown.name, shown.access) == ("recovered", "none")


@pytest.mark.parametrize("weaker", [0.0, 1.0])
def test_too_few_problems_say_nothing(weaker):
    few = RULE.min_problems - 1
    shown = reported(made(np.full(few, weaker), np.ones(few), np.zeros(few)))
    assert shown.says == "unclear"
    assert f"only {few} problems" in shown.note
    enough = made(np.full(few + 1, weaker), np.ones(few + 1), np.zeros(few + 1))
    assert reported(enough).says == ("latent" if weaker else "absent")


def test_a_figure_is_reported_with_its_null():
    line = drawn(200, 0.7, 0.9, 0.25)
    shown = reported(line)
    assert shown.estimate.value == line.weaker.mean()
    assert (shown.null.value, shown.null.low, shown.null.high) == pytest.approx((0.25, 0.25, 0.25))
    assert shown.estimate.n == shown.null.n == 200


def test_a_recovered_gap_counts_from_the_unaided_and_is_not_clamped():
    unaided = np.repeat([1.0, 0.0], [20, 80])
    stronger = np.repeat([1.0, 0.0], [70, 30])
    for steered, gap in ((np.repeat([1.0, 0.0], [60, 40]), 0.8), (np.zeros(100), -0.4), (np.ones(100), 1.6)):
        shown = reported(made(steered, stronger, np.full(100, 0.25), unaided=unaided))
        assert shown.estimate.value == pytest.approx(gap)
        assert shown.estimate.low <= gap <= shown.estimate.high
        assert shown.null.value == pytest.approx(0.1)


def test_p_is_of_the_weaker_over_the_null():
    rng = np.random.default_rng(0)
    null = rng.choice([0.1, 0.2], 200)
    assert reported(made(null + 0.3, np.ones(200), null)).p < 0.001
    assert reported(made(null - 0.3, np.ones(200), null)).p > 0.999


@pytest.mark.parametrize("n", [0, 4])
def test_figures_must_be_of_the_problems_named(n):
    with (
        signatures_unchecked(),
        pytest.raises(ValueError, match=f"expected figures for {n} problems, one or more"),
    ):
        made(np.zeros(0), np.zeros(0), np.zeros(0), problems=np.arange(n))


@pytest.mark.parametrize(("share", "null"), [(0.5, 0.2), (0.25, 0.1), (0.0, 0.05)])
def test_a_share_s_interval_covers_the_truth_as_often_as_it_says(share, null):
    rng, n, stronger = np.random.default_rng(0), 60, 0.9
    weaker = null + share * (stronger - null)
    covered = []
    for _ in range(600):
        right = [(rng.random(n) < each) * 1.0 for each in (weaker, stronger)]
        found = made(right[0], right[1], np.full(n, null)).share(0.9)
        covered.append(found.low <= share <= found.high)
    # The imagined problems widen the interval: too sure is worse than too careful.
    assert np.mean(covered) >= 0.9 - 3 * np.sqrt(0.09 / 600)


TASK = task_of(n=10)
NAMES: dict[str, Access] = {"meant": "weaker only", "shuffled: meant": "weaker only", "random 1": "none"}
SETTINGS = {name: Setting(name, (1,), 2.0) for name in NAMES}
CANDIDATES = CandidateVectors(
    tuple(SteeringVector(name, torch.zeros(3, 32), torch.ones(3), "made up") for name in NAMES),
    NAMES,
    [],
    {"shuffled: meant": Control("shuffled labels", "meant"), "random 1": Control("random directions")},
    dict.fromkeys(NAMES, (Gate(),)),
    {},
)


def steering(
    strongest: str = "meant", best_vector: str | None = "meant", **right: int
) -> tuple[SteeringSearch, dict[str, SteeredAnswers]]:
    """A search with these choices, and answers on test that are right on the first so many problems."""
    on_dev = sweep_of(list(SETTINGS.values()), torch.ones(len(NAMES), 4, dtype=torch.bool))
    steered = {}
    for name, count in zip(NAMES, (right["meant"], right["shuffled"], right["random"]), strict=True):
        said = [problem.answer if i < count else "none" for i, problem in enumerate(TASK.split("test"))]
        ok = np.arange(10) < count
        steered[name] = SteeredAnswers(said, ok, ok, np.ones(10), np.zeros(10, bool), 0.5, 0.25)
    return SteeringSearch(CANDIDATES, on_dev, SETTINGS, strongest, best_vector), steered


WEAKER, STRONGER = answers(np.arange(10) < 2), answers(np.ones(10))
LUCK = chance_right(TASK, TASK.split("test"), WEAKER.texts, WEAKER.unfinished)


def test_recovered_is_the_best_vector_over_what_empty_outputs_could_reach():
    searched, steered = steering(meant=8, shuffled=4, random=3)
    line = recovered_line(searched, steered, TASK, "test", WEAKER, STRONGER, LUCK)
    assert line.weaker.tolist() == [1.0] * 8 + [0.0] * 2
    assert line.stronger.tolist() == [1.0] * 10
    luck = chance_right(TASK, TASK.split("test"), steered["meant"].texts, [False] * 10)
    assert line.null[:2].tolist() == [1.0, 1.0]  # never below what the weaker does unaided
    assert line.null[2:].tolist() == luck[2:].tolist()
    assert (line.name, line.access) == ("recovered", "weaker only")
    assert line.unaided is not None
    assert line.unaided.tolist() == [1.0, 1.0] + [0.0] * 8
    for over in ("+0.50 over random directions", "+0.40 over shuffled labels"):
        assert over in line.note
    assert "among 3 settings (1.6 bits)" in line.note


def test_controls_never_decide_what_the_line_says():
    """Whatever the controls do, the line is the same but for its note."""
    lines = []
    for controls in (0, 10):
        searched, steered = steering(meant=8, shuffled=controls, random=controls)
        lines.append(recovered_line(searched, steered, TASK, "test", WEAKER, STRONGER, LUCK))
    for field in ("weaker", "stronger", "null", "problems"):
        assert np.array_equal(getattr(lines[0], field), getattr(lines[1], field))
    assert lines[0].note != lines[1].note


@pytest.mark.parametrize(
    ("right", "equal"),
    [
        ({"meant": 10, "shuffled": 2, "random": 2}, None),
        ({"meant": 10, "shuffled": 9, "random": 2}, "shuffled labels"),
        ({"meant": 10, "shuffled": 9, "random": 10}, "random directions and shuffled labels"),
        ({"meant": 2, "shuffled": 9, "random": 10}, None),  # nothing is recovered
    ],
)
def test_a_vector_that_does_no_better_than_controls_is_flagged(right, equal):
    searched, steered = steering(**right)
    flags = not_specific(searched, steered, WEAKER, STRONGER, RULE, 0)
    assert len(flags) == (equal is not None)
    assert all(f"no more than {equal} do under the same search" in flag for flag in flags)


@pytest.mark.parametrize("best_vector", ["meant", None])
def test_a_random_direction_may_prove_latency_and_is_never_its_own_control(best_vector):
    searched, steered = steering("random 1", best_vector, meant=3, shuffled=2, random=9)
    line = recovered_line(searched, steered, TASK, "test", WEAKER, STRONGER, LUCK)
    assert line.weaker.sum() == 9
    assert line.access == "none"
    assert "over random directions" not in line.note
    (flag,) = not_specific(searched, steered, WEAKER, STRONGER, RULE, 0)
    assert ("no vector was offered" in flag) == (best_vector is None)
    assert ("'random 1'" in flag) == (best_vector is not None)


@pytest.mark.parametrize(("answers_there_are", "k"), [(2, 1), (4, 1), (10, 2), (100, 8)])
def test_k_is_as_large_as_guessing_allows(answers_there_are, k):
    """A guesser's samples: pass@k is what its null says, whatever k and however few the answers."""
    n, rng = 400, np.random.default_rng(answers_there_are)
    problems = [
        Problem(id=str(i), split="test", prompt=f"p{i} ", answer=str(i % answers_there_are)) for i in range(n)
    ]
    task = TASK.model_copy(update={"problems": tuple(problems)})
    said = rng.integers(0, answers_there_are, (n, 8))
    right = said == np.arange(n)[:, None] % answers_there_are
    samples = Samples(said.astype(str).tolist(), right, np.ones((n, 8), int), np.zeros((n, 8), bool))
    line, best = behaviour_line(samples, task, "test", range(n), CompareConfig(), RULE)
    assert best == k
    assert line.note.startswith(f"pass@{k} of 8 samples")
    assert line.null.mean() <= max(RULE.max_chance, 1 / answers_there_are + 0.01)
    assert abs(line.share(RULE.level).value) < 0.2
    assert reported(line).says == "unclear"


def test_pass_at_k_of_the_problems_in_the_gap_and_its_null():
    gap, k = [0, 2, 4], 3
    problems = TASK.split("test")
    texts = [["0", "4", "none"], ["none", "2", "2"], ["none", "none", "7"]]
    right = np.array(
        [
            [grade(TASK.grader, text, problems[i].answer).lenient for text in row]
            for i, row in zip(gap, texts, strict=True)
        ]
    )
    assert 0 < right.mean() < 1
    samples = Samples(texts, right, np.ones((3, k), int), np.zeros((3, k), bool))
    line, _ = behaviour_line(samples, TASK, "test", gap, CompareConfig(samples=k), RULE)
    np.testing.assert_allclose(line.weaker, pass_at_k(right, k))
    for i, row, null in zip(gap, texts, line.null, strict=True):
        others = [problem for j, problem in enumerate(problems) if j != i]
        by_luck = [
            np.mean([grade(TASK.grader, text, each.answer).lenient for each in others]) for text in row
        ]
        assert null == pytest.approx(1 - np.prod([1 - chance for chance in by_luck]))
    assert line.null.max() > 0
    assert line.problems.tolist() == gap
    assert line.stronger.tolist() == [1.0, 1.0, 1.0]
    assert (line.name, line.access) == ("behaviour", "none")


@pytest.mark.parametrize("known", [0.0, 0.4])
@pytest.mark.parametrize("regained", [0.0, 0.5, 1.0])
def test_half_undone_is_measured_over_what_the_weaker_knows_and_guesses(known, regained):
    """The weaker knows a share of the problems and guesses at the others; midway some of these are solved,
    and the rest are guessed anew. The share is what is regained, and none where nothing is."""
    n, rng = 4000, np.random.default_rng(0)
    truth = np.arange(n) % 2 == 1

    def knowing(share: float) -> np.ndarray:
        return np.where(np.arange(n) < share * n, truth, rng.random(n) < 0.5)

    task, weaker = two_answers(knowing(known))
    half = two_answers(knowing(known + regained * (1 - known)))[1]
    line = undone_line(half, task, "test", weaker, two_answers(truth)[1], luck(task, weaker))
    share = line.share(0.95)
    assert share.value == pytest.approx(regained, abs=0.08)
    assert line.access == "stronger's weights"


def test_half_undone_that_gives_one_answer_has_no_share_beside_a_guesser_that_gives_the_other():
    n = 200
    task, weaker = two_answers(np.zeros(n, bool))
    half, stronger = (two_answers(said)[1] for said in (np.ones(n, bool), np.arange(n) % 2 == 1))
    line = undone_line(half, task, "test", weaker, stronger, luck(task, weaker))
    assert abs(line.share(0.95).value) < 0.05
    assert reported(line).says == "unclear"
