"""The scores of judges: by hand, against scipy and scikit-learn, and what must hold of any judgements."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, confusion_matrix

from tests.jobs.bench.made_up import case, judged, judgements, many
from undertext.core.statistics import bootstrap, only
from undertext.core.terms import Verdict
from undertext.jobs.bench.case import ABSENT, LATENT, MIXTURE, Judged
from undertext.jobs.bench.rates import Rate, rate
from undertext.jobs.bench.records import merged
from undertext.jobs.bench.scores import TRUTHS, VERDICTS, JudgeScores, score_records

BY_HAND = [
    judged(case("lock", "suppressed", 1), "suppressed", 0.95, seconds=1.0, problems=50),
    judged(
        case("wiped", "overwritten", 1), "suppressed", 0.85, seconds=2.0, problems=50
    ),  # confidently wrong
    judged(case("hard_lock", "suppressed", 2), "overwritten", 0.8, seconds=3.0, problems=50),  # wrong
    judged(case("tune", "elicited", 2), "undetermined", 0.3, seconds=4.0, problems=90),
    judged(case("same", "preserved", 3), "undetermined", 0.2, seconds=5.0, problems=90),
    judged(case("new", "taught", 3), "taught", 1.0, seconds=6.0, problems=90),
    judged(case("odd", "taught", 3, ambiguous="relearning disagrees"), "elicited", 1.0),
]


def only_judge(records: list[Judged]) -> JudgeScores:
    (found,) = score_records(records).judges
    return found


def counts(found: Rate) -> tuple[int, int]:
    return found.count, found.of


def test_six_cases_by_hand():
    found = only_judge(BY_HAND)
    assert (found.judge, found.part, found.all.cases, found.ambiguous, found.missing) == (
        "undertext", "held out", 6, 1, 0,
    )  # fmt: skip
    assert counts(found.all.right) == (2, 4)
    assert counts(found.all.right_of_all) == (2, 6)
    assert counts(found.all.confidently_wrong) == (1, 4)  # 0.8 itself is not over 0.8
    assert counts(found.all.undetermined) == (2, 6)
    assert found.confusion["suppressed"] == {v: int(v in ("suppressed", "overwritten")) for v in VERDICTS}
    assert found.confusion["elicited"]["undetermined"] == found.confusion["preserved"]["undetermined"] == 1
    assert list(found.confusion) == ["elicited", "taught", "suppressed", "overwritten", "preserved"]
    assert counts(found.groups["truth"]["suppressed"].right_of_all) == (1, 2)
    assert counts(found.groups["organism"]["wiped"].right) == (0, 1)
    assert counts(found.false_latent.of_cases) == counts(found.false_latent.of_given) == (1, 2)
    assert counts(found.false_absent.of_cases) == (1, 3)
    assert counts(found.false_absent.of_given) == (1, 2)
    assert counts(found.silent_preserved) == (1, 1)
    called = {verdict: counts(own) for verdict, own in found.precision.items() if own.of}
    assert called == {"suppressed": (1, 2), "overwritten": (0, 1), "taught": (1, 1)}
    assert list(found.precision) == list(TRUTHS)
    assert [each.case.organism for each in found.wrong] == ["wiped", "hard_lock"]
    assert [(each.least, each.most, each.tally.cases) for each in found.seconds] == [
        (1, 2, 2),
        (3, 4, 2),
        (5, 6, 2),
    ]
    assert [(each.least, each.tally.cases, counts(each.tally.right)) for each in found.problems] == [
        (50, 3, (1, 3)), (90, 3, (1, 1)),
    ]  # fmt: skip


def test_confidence_by_hand():
    """Given: right at 0.95 and 1.0, wrong at 0.85 and 0.8."""
    found = only_judge(BY_HAND).reliability
    assert found.brier is not None
    assert found.brier.value == pytest.approx((0.05**2 + 0 + 0.85**2 + 0.8**2) / 4)
    assert found.brier.low <= found.brier.value <= found.brier.high
    assert found.constant == 0.25
    bins = [(each.low, each.high, each.confidence, counts(each.right)) for each in found.bins]
    assert bins == [
        (0.7, 0.8, 0.8, (0, 1)),
        (0.8, 0.9, 0.85, (0, 1)),
        (0.9, 0.95, 0.95, (1, 1)),
        (0.99, 1.0, 1.0, (1, 1)),
    ]
    assert found.calibration_error == pytest.approx((0.8 + 0.85 + 0.05 + 0) / 4)
    assert found.overconfidence == pytest.approx(3.6 / 4 - 0.5)


def test_a_confidence_of_zero_is_in_the_lowest_bin():
    found = only_judge(
        [judged(case("a", "taught"), "taught", 0.0), judged(case("b", "taught"), "taught", 0.5)]
    )
    assert [(each.high, each.right.of) for each in found.reliability.bins] == [(0.5, 2)]


def test_the_share_latent_by_hand():
    of = [case(f"mix_{i}", "elicited", i, share=0.5) for i in range(4)]
    said = [(0.6, 0.4, 0.8), (0.2, 0.1, 0.3), None, (0.5, -float("inf"), float("inf"))]
    records = [judged(each, "elicited", share=share) for each, share in zip(of, said, strict=True)]
    found = only_judge([*records, judged(case("none", "taught", 9), "taught", share=(0.9, 0.8, 1.0))]).share
    assert found.known == 4
    assert counts(found.covered) == (2, 3)
    assert found.absolute is not None
    assert found.bias is not None
    assert found.absolute.value == pytest.approx(0.4 / 3)
    assert found.bias.value == pytest.approx(-0.2 / 3)
    assert found.bias.low <= found.bias.value <= found.bias.high
    one_world = only_judge([records[0], replace(records[0], case=replace(of[0], split="ood"))]).share
    assert one_world.bias is not None
    assert (one_world.bias.low, one_world.bias.high) == (-float("inf"), float("inf"))


@pytest.mark.parametrize(
    ("count", "spread"),
    [
        (2, 0.2),
        pytest.param(4, 0.2, marks=pytest.mark.slow),
        pytest.param(13, 0.05, marks=pytest.mark.slow),
        pytest.param(13, 0.3, marks=pytest.mark.slow),
    ],
)
def test_the_share_s_error_by_world_covers_the_truth(count, spread):
    """Worlds of six cases whose errors have much in common. Resampling two worlds would be far too sure."""
    of = [case(f"o{j}", "elicited", i, share=0.5) for i in range(count) for j in range(6)]
    covered, resampled, means = [], [], []
    clusters = np.arange(count).repeat(6)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        errors = 0.1 + np.repeat(rng.normal(0, spread, count), 6) + rng.normal(0, 0.05, 6 * count)
        records = [
            judged(each, "elicited", share=(0.5 + error, 0.4 + error, 0.6 + error))
            for each, error in zip(of, errors.tolist(), strict=True)
        ]
        found = only_judge(records).share
        assert found.bias is not None
        assert found.absolute is not None
        assert found.bias.value == pytest.approx(errors.mean())
        assert found.absolute.low >= 0
        means.append(found.bias.value)
        covered.append(found.bias.low <= 0.1 <= found.bias.high)
        drawn = bootstrap(only, errors[:, None], seed=seed, clusters=clusters)
        resampled.append(drawn.low <= 0.1 <= drawn.high)
    assert np.mean(covered) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 60)
    assert np.std(means) > 0.01  # the draws differ
    assert count > 2 or np.mean(resampled) < 0.75


def test_a_share_said_far_below_zero_has_an_interval_around_it():
    of = [case(f"o{i}", "taught", i, share=0.0) for i in range(3)]
    said = [(-4.0, -6.0, 0.1), (-0.1, -0.3, 0.1), (0.1, -0.1, 0.3)]
    found = only_judge([judged(e, "taught", share=s) for e, s in zip(of, said, strict=True)]).share
    assert found.bias is not None
    assert found.bias.value == pytest.approx(-4 / 3)
    assert found.bias.low < -4 / 3 < found.bias.high


def test_two_seeds_on_one_case_by_hand():
    """Each case counts once, by its smallest seed; what the others say is in contradictions and `seeds`."""
    said: dict[str, list[Verdict]] = {
        "same": ["taught", "taught", "taught"],
        "unlike": ["taught", "elicited", "taught"],  # of three pairs two differ
        "silent": ["taught", "undetermined"],
        "once": ["taught"],
    }
    records = [
        judged(case(name, "taught", i), verdict, seed=seed)
        for i, (name, verdicts) in enumerate(said.items())
        for seed, verdict in enumerate(verdicts, 5)
    ]
    found = only_judge(records)
    assert counts(found.all.right_of_all) == (4, 4)
    assert counts(found.contradictions.differ) == (1, 3)
    assert counts(found.contradictions.flip) == (1, 3)
    assert (
        found.contradictions.pairs,
        found.contradictions.pairs_differ,
        found.contradictions.pairs_flip,
    ) == (7, 2, 1)
    assert found.contradictions.cases == ("chain-llama-word-1: unlike over base, test",)
    assert {seed: tally.cases for seed, tally in found.seeds.items()} == {5: 4, 6: 3, 7: 2}
    assert counts(found.seeds[6].right) == (1, 2)


def test_what_a_judge_was_not_asked_is_counted():
    other = [replace(each, judge="other") for each in BY_HAND[:2]]
    scores = score_records([*BY_HAND, *other])
    assert {each.judge: each.missing for each in scores.judges} == {"undertext": 0, "other": 4}
    assert scores.of("other", "tuning") is None
    assert [each.organism for each in scores.ambiguous] == ["odd"]


def test_a_world_in_both_parts_is_named():
    leak = judged(case("again", "taught", 1, "tuning"), "taught")
    assert score_records([*BY_HAND, leak]).leaks == ("chain-llama-word-1",)
    assert score_records(BY_HAND).leaks == ()


def test_counts_are_those_of_scikit_learn():
    records = many(120)
    for found in score_records(records).judges:
        own = [
            each
            for each in merged(records)
            if (each.judge, each.case.part) == (found.judge, found.part)
            and not each.case.ambiguous
            and each.seed == 0
        ]
        wanted = confusion_matrix([e.case.truth for e in own], [e.verdict for e in own], labels=VERDICTS)
        rows = [[found.confusion[truth][verdict] for verdict in VERDICTS] for truth in TRUTHS]
        assert np.array_equal(rows, [wanted[VERDICTS.index(truth)] for truth in TRUTHS])
        given = [each for each in own if each.verdict != "undetermined"]
        brier = brier_score_loss([e.verdict == e.case.truth for e in given], [e.confidence for e in given])
        assert found.reliability.brier is not None
        assert found.reliability.brier.value == pytest.approx(brier)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 200), (7, 7), (35, 84), (199, 200)])
def test_the_exact_interval_is_scipy_s(hits, n):
    records = [judged(case(f"o{i}", "taught", i), "taught" if i < hits else "elicited") for i in range(n)]
    found = rate(records, lambda each: each.right)
    wanted = binomtest(hits, n).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert (found.value, found.worlds) == (hits / n, n)


def test_intervals_by_world_cover_where_worlds_share_their_fate():
    """30 worlds of 8 cases: by world 95% intervals cover 90% or more of 200 draws, exact ones far less."""
    of = [[case(f"o{j}", "taught", i) for j in range(8)] for i in range(30)]
    verdicts: tuple[Verdict, Verdict] = ("elicited", "taught")
    both = [[[judged(each, verdict) for verdict in verdicts] for each in row] for row in of]
    by_world, exact = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        right = rng.random((30, 8)) < rng.beta(0.9 * 1.5, 0.1 * 1.5, 30)[:, None]  # mean 0.9, correlation 0.4
        records = [both[i][j][int(right[i, j])] for i in range(30) for j in range(8)]
        found = rate(records, lambda each: each.right)
        by_world.append(found.world_low <= 0.9 <= found.world_high)
        exact.append(found.low <= 0.9 <= found.high)
    assert 0.9 <= np.mean(by_world) <= 0.98
    assert np.mean(exact) < 0.75


def test_where_all_are_right_the_interval_by_world_counts_worlds():
    records = [judged(case(f"o{i}", "taught", i % 4), "taught") for i in range(100)]
    found = rate(records, lambda each: each.right)
    assert (found.value, found.world_high) == (1.0, 1.0)
    assert found.world_low < 0.75 < 0.96 < found.low


@settings(max_examples=25)
@given(judgements())
def test_rates_add_up(records):
    for found in score_records(records).judges:
        every, cells = found.all, found.confusion
        assert sum(sum(row.values()) for row in cells.values()) == every.cases == every.right_of_all.of
        assert every.right.of + every.undetermined.count == every.cases
        assert every.right.count == every.right_of_all.count == sum(cells[truth][truth] for truth in cells)
        assert every.right.of - every.right.count == len(found.wrong) >= every.confidently_wrong.count
        for tallies in found.groups.values():
            assert sum(tally.cases for tally in tallies.values()) == every.cases
            assert sum(tally.right.count for tally in tallies.values()) == every.right.count
        for efforts in (found.seconds, found.problems):
            assert sum(each.tally.cases for each in efforts) == every.cases
            bounds = [bound for each in efforts for bound in (each.least, each.most)]
            assert bounds == sorted(bounds)
        assert sum(each.right.of for each in found.reliability.bins) == every.right.of
        nothing_there = sum(sum(row.values()) for truth, row in cells.items() if truth in ABSENT)
        assert found.false_latent.of_cases.of == nothing_there
        said_latent = sum(n for t, row in cells.items() if t in ABSENT for v, n in row.items() if v in LATENT)
        assert found.false_latent.of_cases.count == found.false_latent.of_given.count == said_latent
        for own in (every.right, every.undetermined, found.false_absent.of_cases):
            value = own.count / own.of if own.of else 0.5
            assert 0 <= own.low <= value <= own.high <= 1
            assert 0 <= own.world_low <= value + 1e-12
            assert value - 1e-12 <= own.world_high <= 1


@settings(max_examples=10)
@given(judgements())
def test_the_order_does_not_matter(records):
    assert score_records(records) == score_records(records[::-1])


def test_nothing_judged_scores_nothing():
    assert score_records([]).judges == ()
    silent = only_judge([judged(case("a", "taught"), "undetermined")])
    assert silent.all.right.value is None
    assert silent.reliability.brier is None


def test_the_share_of_a_mixture_is_scored_and_its_verdict_is_not():
    mixture = case("mixed", "undetermined", share=0.5, ambiguous=MIXTURE)
    other = case("odd", "taught", 2, share=0.0, ambiguous="relearning says otherwise")
    records = [
        judged(mixture, "elicited", share=(0.6, 0.4, 0.8)),
        judged(other, "elicited", share=(0.9, 0.8, 1.0)),
        judged(case("plain", "taught", 3, share=0.0), "taught", share=(0.1, 0.05, 0.2)),
    ]
    found = only_judge(records)
    assert counts(found.all.right_of_all) == (1, 1)
    assert counts(found.share.covered) == (1, 2)
    assert found.share.known == 2
