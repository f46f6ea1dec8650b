"""The share of a gap that was latent, on made answers whose share is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.keyed_answers import N, answers, made, samples_of, task_of
from undertext.jobs.compare.latent import opened
from undertext.measures.answers import Answers, Samples
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.output_grader import chance_any, chance_right


@pytest.mark.parametrize(("count", "alike"), [(3, False), (4, False), (7, False), (7, True), (20, False)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_it_is_the_share_that_keys_open_however_many_they_are_and_however_they_guess(share, count, alike):
    values, covered = [], 0
    for seed in range(4):
        task, samples, keyed, greedy = made(share, seed, alike, count)
        found = opened(samples, 1, keyed, greedy, task, "test", list(range(N)), 0.95)
        values.append(found.latent.value)
        covered += found.latent.low <= share <= found.latent.high
        assert set(found.by_key) == {"behaviour", "prompted", "prefilled", "recovered"}
        assert min(found.by_key.values()) >= share - 0.15
    assert np.mean(values) == pytest.approx(share, abs=0.08)
    assert covered >= 3


def test_where_a_wrong_answer_leaves_one_other_nothing_can_be_told():
    """Of two answers, the greedy one is wrong: the other one opens the problem, whoever says it."""
    for share in (0.0, 1.0):
        task, samples, keyed, greedy = made(share, 0, count=2)
        found = opened(samples, 1, keyed, greedy, task, "test", list(range(N)), 0.95)
        assert np.isnan(found.latent.value)
        assert (found.latent.low, found.latent.high, found.counted) == (-np.inf, np.inf, ())


def test_with_few_answers_the_best_keys_alone_count():
    task, samples, keyed, greedy = made(0.0, 1, count=4)
    found = opened(samples, 1, keyed, greedy, task, "test", list(range(N)), 0.95)
    assert found.counted == tuple(keyed)[: len(found.counted)]
    assert 0 < len(found.counted) < 4
    assert len(found.by_key) == 4


def test_only_the_samples_that_leave_guessing_little_room_count():
    task = task_of(7)
    problems = task.split("test")
    wrong = [str((int(each.answer) + 1) % 7) for each in problems]
    late = [[bad, each.answer] for bad, each in zip(wrong, problems, strict=True)]
    for k in (1, 2):
        found = opened(
            samples_of(late, task), k, {}, answers(wrong, task), task, "test", list(range(N)), 0.95
        )
        assert found.by_key == {"behaviour": k - 1}


def test_a_gap_is_part_of_the_split_and_unfinished_outputs_open_nothing():
    task = task_of(7)
    problems = task.split("test")
    right = [each.answer for each in problems]
    gap = list(range(0, N, 2))
    nothing = np.zeros(N, bool)
    cut = Answers(right, nothing, nothing, np.ones(N), ~nothing)
    shape = (len(gap), 1)
    samples = Samples([["?"]] * len(gap), np.zeros(shape, bool), np.ones(shape, int), np.zeros(shape, bool))
    found = opened(samples, 1, {"recovered": cut}, cut, task, "test", gap, 0.95)
    assert found.latent.n == len(gap)
    assert (found.latent.value, found.by_key) == (0.0, {"behaviour": 0.0, "recovered": 0.0})


@given(st.lists(st.lists(st.integers(0, 4).map(str), max_size=4), min_size=3, max_size=8), st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_worth_of_several_outputs_is_how_many_other_problems_one_of_them_solves(whole, rng):
    problems = [
        Problem(id=f"{i}", split="test", prompt=f"{i} ?", answer=str(rng.randint(0, 4)))
        for i in range(len(whole))
    ]
    task = Task(
        name="t",
        description="t",
        grader=Grader(kind="number"),
        problems=[*problems, *(Problem(id=s, split=s, prompt="?", answer="1") for s in ("train", "dev"))],
    )
    found, wrong = chance_any(task, problems, whole), [[rng.choice("01234")] for _ in whole]
    among = chance_any(task, problems, whole, without=wrong)
    for i, texts in enumerate(whole):
        others = [each for j, each in enumerate(problems) if j != i]
        assert found[i] == pytest.approx(np.mean([each.answer in texts for each in others]))
        left = [each.answer in texts for each in others if each.answer not in wrong[i]]
        assert among[i] == pytest.approx(np.mean(left) if left else 0.0)
    single = chance_right(
        task, problems, [texts[0] if texts else "" for texts in whole], [False] * len(whole)
    )
    assert (single <= found + 1e-12).all() or any(not texts for texts in whole)
