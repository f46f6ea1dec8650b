"""Steering as evidence: what is chosen on dev, and what is counted on the split."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.made_up_task import CONFIG, WEAKER, task_of
from tests.sweeps import sweep_of
from undertext.core.statistics import paired_difference
from undertext.core.terms import CONTROL_KINDS, Access
from undertext.measures.answers import Answers
from undertext.measures.recovery import search as searching
from undertext.measures.recovery.candidates import CandidateVectors, Control
from undertext.measures.recovery.estimate import RecoveryEstimate, estimate_recovery, gap_share
from undertext.measures.recovery.rows import recovery_row, sweep_rows
from undertext.measures.recovery.search import SteeredAnswers, SteeringSearch, recover, search
from undertext.steering import Gate, Setting, SteeringVector, Sweep
from undertext.tasks import drawn

ACCESS: dict[str, Access] = {
    "meant": "weaker only",
    "delta": "stronger's activations",
    "shuffled: meant": "weaker only",
    "elsewhere: meant": "weaker only",
    "random 1": "none",
    "random 2": "none",
}
ELSEWHERE, USUAL = (Gate((-2,)), Gate((-4,))), (Gate(), Gate("generated"))
CANDIDATES = CandidateVectors(
    tuple(SteeringVector(name, torch.zeros(3, 32), torch.ones(3), "made up") for name in ACCESS),
    ACCESS,
    [],
    {
        "shuffled: meant": Control("shuffled labels", "meant"),
        "elsewhere: meant": Control("random positions", "meant"),
        "random 1": Control("random directions"),
        "random 2": Control("random directions"),
    },
    {name: ELSEWHERE if name == "elsewhere: meant" else USUAL for name in ACCESS},
    {},
)


@pytest.fixture
def accuracy_of(monkeypatch: pytest.MonkeyPatch):
    """Makes sweeps up: a setting is right on the first so many problems, as this says for it."""
    asked: list[tuple[list[str], list[Setting]]] = []

    def use(accuracy: Any) -> list[tuple[list[str], list[Setting]]]:
        def fake(who: Any, prompts: list[str], settings: list[Setting], *args: Any, **kwargs: Any) -> Sweep:
            asked.append((prompts, settings))
            right = torch.tensor([[i < accuracy(s) for i in range(len(prompts))] for s in settings])
            return sweep_of(list(settings), right)

        monkeypatch.setattr(searching, "sweep", fake)
        return asked

    return use


def test_settings_are_searched_on_dev_and_nothing_else(accuracy_of):
    asked = accuracy_of(lambda s: 0)
    task = task_of()
    search(WEAKER, task, CANDIDATES, [0, 2], CONFIG)
    ((prompts, swept),) = asked
    assert prompts == [problem.prompt for problem in drawn(task.split("dev"), CONFIG.seed, 3)]
    assert set(swept) == {
        Setting(name, (layer,), dose, gate)
        for name in CANDIDATES.access
        for layer in (0, 2)
        for dose in (0.5, 2.0)
        for gate in (ELSEWHERE if name == "elsewhere: meant" else USUAL)
    }
    budgets = [sum(setting.vector == name for setting in swept) for name in CANDIDATES.access]
    assert len(set(budgets)) == 1
    assert len(swept) == len(set(swept))


def plain(setting: Setting) -> tuple[Any, ...]:
    return setting.vector, *setting.layers, setting.dose, setting.gate.at


def test_each_vector_gets_its_best_setting_and_of_equals_the_smallest_dose(accuracy_of):
    best = {
        ("meant", 2, 2.0, "generated"): 2,
        ("delta", 0, 0.5, "last_prompt"): 3,
        ("delta", 2, 2.0, "generated"): 3,
        ("random 2", 2, 2.0, "generated"): 2,
        ("random 1", 2, 0.5, "generated"): 1,
        ("elsewhere: meant", 2, 0.5, (-4,)): 1,
    }
    accuracy_of(lambda s: best.get(plain(s), 0))
    found = search(WEAKER, task_of(), CANDIDATES, [0, 2], CONFIG)
    assert plain(found.best["meant"]) == ("meant", 2, 2.0, "generated")
    assert plain(found.best["delta"]) == ("delta", 0, 0.5, "last_prompt")
    assert found.best["random 1"].dose == 0.5
    assert plain(found.best["elsewhere: meant"]) == ("elsewhere: meant", 2, 0.5, (-4,))
    controls = ["random 2", "shuffled: meant", "elsewhere: meant", None]  # no feature is steered with
    assert [found.best_control(kind) for kind in CONTROL_KINDS] == controls
    assert found.best_vector == "delta"
    assert found.accuracy(found.best["meant"]) == pytest.approx(2 / 3)
    rows = sweep_rows(found)
    assert sum(row["chosen"] for row in rows) == len(CANDIDATES.access)
    assert {row["vector"] for row in rows if row["lenient"] == 1.0} == {"delta"}
    assert {row["vector"]: row["control"] for row in rows} == {
        name: CANDIDATES.controls[name].kind if name in CANDIDATES.controls else None for name in ACCESS
    }
    assert {row["at"] for row in rows if row["vector"] == "elsewhere: meant"} == {
        "prompt token -2",
        "prompt token -4",
    }


@pytest.mark.parametrize(
    ("equal", "strongest", "best_vector"),
    [
        ({"meant", "delta", "random 1"}, "meant", "meant"),
        ({"delta", "random 2"}, "random 2", "delta"),
        ({"random 2"}, "random 2", "meant"),
        ({"delta"}, "delta", "delta"),
        ({"delta", "shuffled: meant", "elsewhere: meant"}, "delta", "delta"),
    ],
)
def test_among_equals_the_one_that_knew_least_stands_for_all(accuracy_of, equal, strongest, best_vector):
    accuracy_of(lambda s: 2 if s.vector in equal else 1)
    found = search(WEAKER, task_of(), CANDIDATES, [1], CONFIG)
    assert (found.strongest, found.best_vector) == (strongest, best_vector)


def test_random_directions_alone_may_prove_something_and_are_no_vector(accuracy_of):
    drawn = [vector for vector in CANDIDATES.vectors if vector.name.startswith("random")]
    controls = {vector.name: CANDIDATES.controls[vector.name] for vector in drawn}
    alone = replace(CANDIDATES, vectors=tuple(drawn), controls=controls)
    accuracy_of(lambda s: 2 if s.vector == "random 2" else 1)
    found = search(WEAKER, task_of(), alone, [1], CONFIG)
    assert (found.strongest, found.best_vector) == ("random 2", None)


def test_the_chosen_settings_alone_are_applied_to_the_split(accuracy_of):
    asked = accuracy_of(lambda s: 2)
    task = task_of()
    found = search(WEAKER, task, CANDIDATES, [1], CONFIG)
    result = recover(WEAKER, task, "test", found, CONFIG)
    prompts, swept = asked[1]
    assert prompts == [problem.prompt for problem in task.split("test")]
    assert swept == list(found.best.values())
    assert {name: each.lenient.sum() for name, each in result.items()} == dict.fromkeys(CANDIDATES.access, 2)


def behaviour(right: Sequence[float] | np.ndarray) -> Answers:
    lenient = np.asarray(right, bool)
    return Answers(
        [""] * len(lenient), lenient, lenient, np.zeros(len(lenient)), np.zeros(len(lenient), bool)
    )


COUNTS = {
    "meant": 8,
    "delta": 5,
    "shuffled: meant": 4,
    "elsewhere: meant": 1,
    "random 1": 3,
    "random 2": 1,
}


class Made(NamedTuple):
    """A search that never was, and what came of it on ten problems."""

    searched: SteeringSearch
    steered: dict[str, SteeredAnswers]
    weaker: Answers
    stronger: Answers

    def estimate(self, name: str, stronger: Answers | None = None) -> RecoveryEstimate:
        return estimate_recovery(
            self.searched, self.steered, name, self.weaker, stronger or self.stronger, seed=0
        )

    def row(self, name: str, stronger: Answers | None = None) -> dict[str, Any]:
        best = name == self.searched.best_vector
        return recovery_row("test", self.estimate(name, stronger), None, best_vector=best, strongest=best)


@pytest.fixture
def made() -> Made:
    """The weaker has 2 of 10 right and the stronger all; how many each vector has, `COUNTS` says."""
    weaker, problem = np.arange(10) < 2, np.arange(10)
    steered = {
        name: SteeredAnswers(
            [str(k % 3) for k in range(10)],
            (problem < count) & (problem != 7),
            problem < count,
            np.full(10, 4.0),
            np.zeros(10, bool),
            0.25,
            0.125,
        )
        for name, count in COUNTS.items()
    }
    best = {name: Setting(name, (1,), 0.5, Gate("all")) for name in COUNTS}
    on_dev = torch.tensor([[i < COUNTS[name] for i in range(10)] for name in COUNTS])
    return Made(
        SteeringSearch(CANDIDATES, sweep_of(list(best.values()), on_dev), best, "meant", "meant"),
        steered,
        Answers([""] * 10, weaker & (problem != 1), weaker, np.zeros(10), np.zeros(10, bool)),
        behaviour(np.ones(10)),
    )


def test_the_table_gives_every_vector_its_recovered_gap_and_excess(made):
    rows = {name: made.row(name) for name in COUNTS}
    gaps = {name: row["recovered"] for name, row in rows.items()}
    assert gaps == pytest.approx({name: (count - 2) / 8 for name, count in COUNTS.items()})
    best = {"random_directions": 3, "shuffled_labels": 4, "random_positions": 1}
    names = {
        "random_directions": "random 1",
        "shuffled_labels": "shuffled: meant",
        "random_positions": "elsewhere: meant",
    }
    for name, row in rows.items():
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["recovered_low"] <= row["recovered"] <= row["recovered_high"]
        assert row["difference"] == pytest.approx((COUNTS[name] - 2) / 10)
        for kind, count in best.items():
            if row["control"] == kind.replace("_", " "):
                assert row[f"over_{kind}"] is None  # a control stands beside none of its own kind
                continue
            assert row[f"over_{kind}_control"] == names[kind]
            assert row[f"over_{kind}"] == pytest.approx((COUNTS[name] - count) / 8)
            assert row[f"over_{kind}_low"] <= row[f"over_{kind}"] <= row[f"over_{kind}_high"]
            assert row[f"over_{kind}_accuracy"] == pytest.approx((COUNTS[name] - count) / 10)
    assert [name for name, row in rows.items() if row["best_vector"]] == ["meant"]


def test_the_gain_that_is_only_format_and_what_was_right_before(made):
    found = made.estimate("meant")
    # Strictly right are 0 before and 0 to 6 after: of the six new ones, problem 1 had the wrong form only.
    assert found.only_format == pytest.approx(1 / 6)
    assert found.strict_gap is not None
    assert found.strict_gap.value == pytest.approx(6 / 9)
    assert (found.steered, found.steered_of_all) == (0.25, 0.125)
    assert (found.solved, found.still_correct and found.still_correct.value) == (2, 1.0)
    harmful = made.estimate("elsewhere: meant")
    assert harmful.still_correct is not None
    assert harmful.still_correct.value == 0.5
    assert harmful.only_format is None
    assert harmful.gap is not None
    assert harmful.gap.value == pytest.approx(-1 / 8)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(*[st.booleans()] * 4), min_size=2, max_size=60))
def test_the_ratio_is_refused_just_where_the_gaps_interval_touches_zero(rows):
    high, low, strong, weak = (np.array(column) for column in zip(*rows, strict=True))
    found = gap_share(low, high, weak, strong, seed=0, level=0.95)
    difference = paired_difference(weak, strong)
    assert (found is None) == (difference.low <= 0)
    if found is not None:
        assert found.value == pytest.approx((high.mean() - low.mean()) / (strong.mean() - weak.mean()))
        assert found.low <= found.value <= found.high


def test_where_there_is_no_gap_the_difference_stands(made):
    row = made.row("meant", stronger=made.weaker)
    assert row["recovered"] is row["recovered_low"] is row["over_random_directions"] is None
    assert row["difference"] == pytest.approx(0.6)
    assert row["difference_low"] < 0.6 < row["difference_high"]
    assert row["over_random_directions_accuracy"] == pytest.approx(0.5)
