"""Successive halving: it finds what the grid finds where that is clear, at the cost it says, no row twice."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.steering.planted import NEUTRAL, at_end, planted, right
from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.activations.errors import UserError
from undertext.steering import (
    Row,
    Schedule,
    Setting,
    SteeringVector,
    grid,
    halving,
    mean_norm,
    random_directions,
    sweep,
    sweep_runner,
)


def model() -> tuple[Checkpoint, list[SteeringVector]]:
    """A random model, and vectors that do nothing to speak of."""
    tokenizer = word_tokenizer()
    who = Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)
    names = ("a", "b", "c")
    return who, [SteeringVector(n, random_directions(3, 32, seed=0), torch.ones(3), "") for n in names]


WHO, VECTORS = model()
PROMPTS = [f"{'a ' * (k % 5)}b" for k in range(40)]


@pytest.fixture
def accuracies(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes generation up: a setting is right on the prompts that this says; and counts the rows."""
    seen: Counter[tuple[int, int]] = Counter()

    def use(is_right: Any) -> Counter[tuple[int, int]]:
        def fake(self: Any, keys: Any) -> None:
            for key in keys:
                seen[key] += 1
                text = "right" if is_right(*key) else "wrong"
                self.rows[key] = Row(text, 1, 2, 1, 3)

        monkeypatch.setattr(sweep_runner.SweepRunner, "_run", fake)
        return seen

    return use


def graded(i: int, text: str, cut: bool) -> tuple[bool, bool]:
    return False, text == "right"


def halve(settings: list[Setting], prompts: list[str] = PROMPTS, **options: Any) -> Any:
    return halving(WHO, prompts, settings, VECTORS, graded, max_new_tokens=1, **options)


SETTINGS = grid(["a", "b", "c"], [0, 1, 2], [1.0, 2.0, 3.0, 4.0])


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 20), st.floats(0.05, 1), st.integers(1, 9))
def test_a_schedule_ends_with_all_prompts_and_never_grows(settings, prompts, start, keep, finalists):
    schedule = Schedule(start, keep, finalists)
    rounds = schedule.rounds(settings, prompts)
    assert rounds[0] == (settings, min(start, prompts))
    assert rounds[-1][1] == prompts
    for (before, seen), (after, then) in pairwise(rounds):
        assert min(before, finalists) <= after <= before
        assert then == min(2 * seen, prompts) > seen
        assert after >= keep * before or after == before
    assert settings <= schedule.rows(settings, prompts) <= settings * prompts


def test_rows_of_a_schedule_by_hand():
    # 27 settings on 4, 9 on 4 more, 3 on 8 more, 3 on 16 more.
    assert Schedule(4, 1 / 3, 3).rounds(27, 32) == [(27, 4), (9, 8), (3, 16), (3, 32)]
    assert Schedule(4, 1 / 3, 3).rows(27, 32) == 27 * 4 + 9 * 4 + 3 * 8 + 3 * 16
    assert Schedule(8, 1.0, 1).rows(27, 32) == 27 * 32


@pytest.mark.parametrize(
    "schedule", [Schedule(0), Schedule(keep=0.0), Schedule(keep=1.5), Schedule(finalists=0)]
)
def test_schedules_that_cannot_be_are_refused(schedule):
    with pytest.raises(UserError, match="a schedule needs"):
        schedule.rounds(3, 3)


@pytest.mark.parametrize("seed", range(5))
def test_a_clear_winner_is_found_and_no_row_is_run_twice(accuracies, seed):
    shares = torch.rand(len(SETTINGS), generator=torch.Generator().manual_seed(seed)) * 0.4
    shares[seed * 7] = 1.0
    lots = torch.rand(len(SETTINGS), len(PROMPTS), generator=torch.Generator().manual_seed(seed + 100))
    seen = accuracies(lambda i, j: bool(lots[i, j] < shares[i]))
    found = halve(SETTINGS, seed=seed)
    assert found.winner == SETTINGS[seed * 7]
    assert found.best[found.winner.vector] == found.winner
    assert set(seen.values()) == {1}
    assert found.rows == len(seen) == Schedule().rows(36, 40) < 0.3 * found.grid_rows
    assert found.grid_rows == 36 * 40
    assert {tuple(key) for key in found.sweep.ran.nonzero().tolist()} == set(seen)
    assert torch.equal(found.sweep.lenient, found.sweep.ran & (lots < shares[:, None]))
    assert torch.equal(found.sweep.written, 2 * found.sweep.ran)
    whole = sweep(WHO, PROMPTS, SETTINGS, VECTORS, graded, max_new_tokens=1)
    assert whole.accuracy().argmax() == seed * 7
    assert found.sweep.accuracy()[seed * 7] == 1.0


def test_every_round_keeps_the_best_of_those_before_on_nested_prompts(accuracies):
    seen = accuracies(lambda i, j: (i * 5 + j * 3) % 36 < i)
    found = halve(SETTINGS)
    assert [(len(each.settings), len(each.prompts)) for each in found.rounds] == Schedule().rounds(36, 40)
    for before, after in pairwise(found.rounds):
        assert set(after.settings) <= set(before.settings)
        assert after.prompts[: len(before.prompts)] == before.prompts
        accuracy = dict(zip(before.settings, before.accuracy, strict=True))
        left = [accuracy[i] for i in before.settings if i not in after.settings]
        assert min(accuracy[i] for i in after.settings) >= max(left, default=0)
        for i, each in zip(after.settings, after.accuracy, strict=True):
            assert each == sum((i * 5 + j * 3) % 36 < i for j in after.prompts) / len(after.prompts)
    assert sorted(found.rounds[-1].prompts) == list(range(40))
    assert len(seen) == found.rows


def test_it_hangs_on_the_seed_alone(accuracies):
    accuracies(lambda i, j: False)
    one, same, other = (halve(SETTINGS, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.sweep.ran, same.sweep.ran)
    assert not torch.equal(one.sweep.ran, other.sweep.ran)
    assert one.rounds[-1].settings != other.rounds[-1].settings


def test_equal_settings_go_on_by_lot_and_not_by_their_place(accuracies):
    accuracies(lambda i, j: False)
    going_on: Counter[str] = Counter()
    for seed in range(30):
        going_on.update(SETTINGS[i].vector for i in halve(SETTINGS, seed=seed).rounds[1].settings)
    assert min(going_on.values()) > 0.6 * max(going_on.values())


def test_among_equals_at_the_end_the_first_is_best(accuracies):
    accuracies(lambda i, j: i >= 30)
    found = halve(SETTINGS, schedule=Schedule(keep=1.0))
    assert found.winner == SETTINGS[30]
    assert found.best == {"a": SETTINGS[0], "b": SETTINGS[12], "c": SETTINGS[30]}


def test_each_vector_can_have_a_search_of_its_own(accuracies):
    # All of a is better than anything of b and c, whose best are at known places.
    shares = {**dict.fromkeys(range(12), 1.0), 17: 0.7, 30: 0.5}
    accuracies(lambda i, j: j % 10 < 10 * shares.get(i, 0.0))
    together = halve(SETTINGS)
    assert together.winner.vector == "a"
    assert "b" not in together.best
    apart = halve(SETTINGS, each_vector=True)
    assert apart.winner.vector == "a"
    assert apart.best["b"] == SETTINGS[17]
    assert apart.best["c"] == SETTINGS[30]
    assert apart.rows == 3 * Schedule().rows(12, 40)
    assert [len(each.settings) for each in apart.rounds[:6]] == [12, 12, 12, 6, 6, 6]


def test_strict_grades_can_decide(accuracies):
    accuracies(lambda i, j: False)
    options: dict[str, Any] = {"max_new_tokens": 1, "schedule": Schedule(keep=1.0)}
    # By a grader that tells settings apart by nothing but the prompt, all are equal; the first is taken.
    found = halving(
        WHO, PROMPTS, SETTINGS, VECTORS, lambda i, t, cut: (i < 5, i < 30), by="strict", **options
    )
    assert found.rounds[-1].accuracy[0] == 5 / 40
    found = halving(WHO, PROMPTS, SETTINGS, VECTORS, lambda i, t, cut: (i < 5, i < 30), **options)
    assert found.rounds[-1].accuracy[0] == 30 / 40


def test_on_a_real_switch_it_finds_what_the_grid_finds():
    model = planted()
    norms = mean_norm(at_end(model.checkpoint, NEUTRAL))
    vectors = [
        SteeringVector("switch", model.switch.repeat(2, 1), norms, "planted"),
        *(SteeringVector(f"random {k}", random_directions(2, 128, seed=k), norms, "") for k in range(5)),
    ]
    settings = grid([each.name for each in vectors], [0, 1], [-1.0, 0.25, 1.0])
    problems, answers = NEUTRAL * 4, [k % 10 for k in range(40)]
    done: list[int] = []
    options: dict[str, Any] = {"max_new_tokens": 1, "progress": done.append}
    found = halving(
        model.checkpoint, problems, settings, vectors, lambda i, t, cut: right(answers[i], t), **options
    )
    assert sum(done) == found.rows == Schedule().rows(36, 40)
    whole = sweep(
        model.checkpoint,
        problems,
        settings,
        vectors,
        lambda i, t, cut: right(answers[i], t),
        max_new_tokens=1,
    )
    assert found.winner.vector == "switch"
    assert whole.accuracy()[settings.index(found.winner)] == whole.accuracy().max() == 1.0
    there = found.sweep.ran
    assert torch.equal(found.sweep.lenient[there], whole.lenient[there])
    assert not found.sweep.lenient[~there].any()
    # Rows that were not run are not in the accuracy: unlucky settings have seen four problems alone.
    assert found.sweep.ran.sum(1).min() == 4
    assert not found.sweep.accuracy().isnan().any()


def test_nothing_to_halve_is_refused():
    with pytest.raises(UserError, match="got 0 and 40"):
        halve([])
    with pytest.raises(UserError, match="got 36 and 0"):
        halve(SETTINGS, [])
