"""Steering as evidence: what vectors are offered, what is chosen on dev, and what is counted on the split."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from activations import Checkpoint, Generations, HookPoint, capture, generate
from steering import Setting, SteeringVector, Sweep, Where, unit
from tests.roof.sweeps import sweep_of
from tests.toys import tiny_model, word_tokenizer
from undertext.config import CompareConfig
from undertext.evidence import recovery, vectors
from undertext.evidence.behaviour import Behaviour, chance_right
from undertext.evidence.recovery import (
    Recovery,
    Search,
    recover,
    recovered_line,
    search,
)
from undertext.evidence.vectors import MIN_SIDE, ROLLOUTS, Offered, offered_vectors
from undertext.tables import recovery_rows, sweep_rows
from undertext.tasks import Contrast, Grader, Problem, Task, grade

CONFIG = CompareConfig(random_directions=2, vector_problems=20, search_problems=3, doses=(2.0, 0.5), seed=4)


def checkpoint(seed: int) -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer), seed=seed), tokenizer=tokenizer)


WEAKER, STRONGER = checkpoint(0), checkpoint(1)
POINTS = [HookPoint(layer, "resid_post") for layer in range(3)]


def task_of(contrasts: Sequence[Contrast] = (), n: int = 30, **settings: Any) -> Task:
    problems = [
        Problem(
            id=f"{split}{k}",
            split=split,
            prompt=f"{name} = {k % 10} ; {'so ' * (k % 4)}find {name} :",
            answer=str(k % 10),
        )
        for split, name in (("train", "a"), ("dev", "b"), ("test", "c"))
        for k in range(n)
    ]
    options: dict[str, Any] = {"grader": Grader(kind="number"), "max_new_tokens": 3, **settings}
    return Task(
        name="made up", description="For a test.", contrasts=list(contrasts), problems=problems, **options
    )


def mean_at_end(who: Checkpoint, texts: list[str]) -> torch.Tensor:
    """By plain passes over one text at a time, after every block but the last; [layer - 1, d_model]."""
    states = []
    for text in texts:
        hidden = who.model(torch.tensor(who.encode([text])), output_hidden_states=True).hidden_states
        states.append(torch.stack([each[0, -1] for each in hidden[1:-1]]))  # the last one is normed
    return torch.stack(states).mean(0)


def by_name(offered: Offered) -> dict[str, SteeringVector]:
    return {vector.name: vector for vector in offered.vectors}


def close_to(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(unit(found), wanted / wanted.norm(dim=-1, keepdim=True), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.norm(dim=-1), wanted.norm(dim=-1), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_contrasts_and_the_delta_are_differences_of_means_on_train_alone():
    contrast = Contrast(name="thinks", positive="find {prompt} so", negative="{prompt} answer")
    offered = offered_vectors(WEAKER, STRONGER, task_of([contrast]), CONFIG)
    assert list(by_name(offered)) == [
        "thinks",
        "thinks of the stronger",
        "checkpoint delta",
        "random 1",
        "random 2",
    ]
    prompts = [problem.prompt for problem in task_of().split("train")[: CONFIG.vector_problems]]
    sides = [[f"find {prompt} so" for prompt in prompts], [f"{prompt} answer" for prompt in prompts]]
    for name, who in (("thinks", WEAKER), ("thinks of the stronger", STRONGER)):
        positive, negative = (mean_at_end(who, side) for side in sides)
        close_to(by_name(offered)[name].directions[:-1], positive - negative)
    delta = mean_at_end(STRONGER, prompts) - mean_at_end(WEAKER, prompts)
    close_to(by_name(offered)["checkpoint delta"].directions[:-1], delta)
    assert offered.oracles == {
        "thinks": "weaker only",
        "thinks of the stronger": "stronger's activations",
        "checkpoint delta": "stronger's activations",
        "random 1": "none",
        "random 2": "none",
    }
    last = capture(WEAKER, prompts, POINTS).activations
    for vector in offered.vectors:
        torch.testing.assert_close(vector.norms, last.norm(dim=-1).mean(1))
    assert {name: vector.sources for name, vector in by_name(offered).items()} == {
        "thinks": (WEAKER.name,),
        "thinks of the stronger": (STRONGER.name,),
        "checkpoint delta": (WEAKER.name, STRONGER.name),
        "random 1": (),
        "random 2": (),
    }
    assert not any(vector.trained for vector in offered.vectors)


def test_random_directions_hang_on_the_seed():
    one, same, other = (
        offered_vectors(WEAKER, STRONGER, task_of(), CONFIG.model_copy(update={"seed": seed}))
        for seed in (4, 4, 5)
    )
    first, again, differing = (by_name(each)["random 1"].directions for each in (one, same, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, differing)
    assert not torch.equal(first, by_name(one)["random 2"].directions)


@torch.no_grad()
def test_without_contrasts_vectors_come_from_rollouts():
    # Graded by the last letter or digit, so that some rollouts are right by luck; stopped at common words, so
    # that they differ in length.
    task = task_of(grader=Grader(kind="regex", pattern=r"(\d)\s*$"), stop=["="], max_new_tokens=6)
    config = CONFIG.model_copy(update={"vector_problems": 30, "temperature": 3.0})
    offered = offered_vectors(WEAKER, STRONGER, task, config)
    problems = [problem for problem in task.split("train")[:30] for _ in range(ROLLOUTS)]
    prompts = [problem.prompt for problem in problems]
    out = generate(
        WEAKER,
        prompts[::ROLLOUTS],
        max_new_tokens=6,
        stop=["="],
        samples=ROLLOUTS,
        temperature=3.0,
        seed=config.seed + 31,
    )
    means, right, length = [], [], []
    for prompt, problem, text, tokens in zip(prompts, problems, out.texts, out.tokens, strict=True):
        if tokens:
            ids = torch.tensor([WEAKER.encode([prompt])[0] + tokens])
            hidden = WEAKER.model(ids, output_hidden_states=True).hidden_states[1:-1]
            means.append(torch.stack([each[0, -len(tokens) :].mean(0) for each in hidden]))
            right.append(grade(task.grader, text, problem.answer).lenient)
            length.append(len(tokens))
    longer = [each > (min(length) + max(length)) / 2 for each in length]
    sides = {"rollouts, right": right, "rollouts, longer": longer}
    for name, side in sides.items():
        if min(sum(side), len(side) - sum(side)) < MIN_SIDE:
            assert name not in by_name(offered)
            assert (
                f"{name}: {sum(side)} rollouts against {len(side) - sum(side)}, too few on a side"
                in offered.notes
            )
            continue
        yes, no = (
            torch.stack([m for m, each in zip(means, side, strict=True) if each is is_on])
            for is_on in (True, False)
        )
        close_to(by_name(offered)[name].directions[:-1], yes.mean(0) - no.mean(0))
        assert offered.oracles[name] == "weaker only"
    assert "rollouts, longer" in by_name(offered), "no vector was checked"


def test_rollouts_that_are_empty_give_a_note_and_no_vector(monkeypatch):
    def silent(who: Checkpoint, prompts: list[str], **options: Any) -> Generations:
        return Generations([""] * len(prompts), [[]] * len(prompts), [0] * len(prompts))

    monkeypatch.setattr(vectors, "generate", silent)
    offered = offered_vectors(WEAKER, STRONGER, task_of(), CONFIG)
    assert list(by_name(offered)) == ["checkpoint delta", "random 1", "random 2"]
    assert offered.notes == ["rollouts: every sampled answer was empty"]


OFFERED = Offered(
    tuple(
        SteeringVector(name, torch.zeros(3, 32), torch.ones(3), "made up")
        for name in ("meant", "delta", "random 1", "random 2")
    ),
    {"meant": "weaker only", "delta": "stronger's activations", "random 1": "none", "random 2": "none"},
    [],
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

        monkeypatch.setattr(recovery, "sweep", fake)
        return asked

    return use


def test_settings_are_searched_on_dev_and_nothing_else(accuracy_of):
    asked = accuracy_of(lambda s: 0)
    task = task_of()
    search(WEAKER, task, OFFERED, [0, 2], CONFIG)
    ((prompts, settings),) = asked
    assert prompts == [problem.prompt for problem in task.split("dev")[:3]]
    assert set(settings) == {
        Setting(name, (layer,), dose, Where(at))
        for name in OFFERED.oracles
        for layer in (0, 2)
        for dose in (0.5, 2.0)
        for at in CONFIG.positions
    }
    assert len(settings) == len(set(settings))


def plain(setting: Setting) -> tuple[Any, ...]:
    return setting.vector, *setting.layers, setting.dose, setting.where.at


def test_each_vector_gets_its_best_setting_and_of_equals_the_smallest_dose(accuracy_of):
    best = {
        ("meant", 2, 2.0, "generated"): 2,
        ("delta", 0, 0.5, "last_prompt"): 3,
        ("delta", 2, 2.0, "generated"): 3,
    }
    accuracy_of(lambda s: best.get(plain(s), 0))
    found = search(WEAKER, task_of(), OFFERED, [0, 2], CONFIG)
    assert plain(found.best["meant"]) == ("meant", 2, 2.0, "generated")
    assert plain(found.best["delta"]) == ("delta", 0, 0.5, "last_prompt")
    assert found.best["random 1"].dose == 0.5
    assert found.headline == "delta"
    assert found.accuracy(found.best["meant"]) == pytest.approx(2 / 3)
    rows = sweep_rows(found)
    assert sum(row["chosen"] for row in rows) == len(OFFERED.oracles)
    assert {row["vector"] for row in rows if row["lenient"] == 1.0} == {"delta"}


@pytest.mark.parametrize(
    ("equal", "headline"),
    [({"meant", "delta", "random 1"}, "meant"), ({"delta", "random 2"}, "random 2"), ({"delta"}, "delta")],
)
def test_among_equals_the_one_that_knew_least_stands_for_all(accuracy_of, equal, headline):
    accuracy_of(lambda s: 2 if s.vector in equal else 1)
    assert search(WEAKER, task_of(), OFFERED, [1], CONFIG).headline == headline


def test_the_chosen_settings_alone_are_applied_to_the_split(accuracy_of):
    asked = accuracy_of(lambda s: 2)
    task = task_of()
    found = search(WEAKER, task, OFFERED, [1], CONFIG)
    result = recover(WEAKER, task, "test", found, CONFIG)
    prompts, settings = asked[1]
    assert prompts == [problem.prompt for problem in task.split("test")]
    assert settings == list(found.best.values())
    assert {name: right.sum() for name, right in result.lenient.items()} == dict.fromkeys(OFFERED.oracles, 2)


def behaviour(right: Sequence[float] | np.ndarray) -> Behaviour:
    lenient = np.asarray(right, bool)
    return Behaviour([""] * len(lenient), lenient, lenient)


@pytest.fixture
def recovered() -> tuple[Task, Recovery, Behaviour, Behaviour]:
    """On ten problems: the weaker has 2 right, the stronger all, steering 8; random directions 3 and 1."""
    task = task_of(n=10)
    right = {"meant": 8, "delta": 5, "random 1": 3, "random 2": 1}
    texts = {name: [str(k % 3) for k in range(10)] for name in right}
    lenient = {name: np.arange(10) < count for name, count in right.items()}
    best = {name: Setting(name, (1,), 0.5, Where("all")) for name in right}
    nothing = sweep_of(list(best.values()), torch.zeros(4, 0, dtype=torch.bool))
    found = Search(OFFERED, nothing, best, "meant")
    return (
        task,
        Recovery(found, texts, lenient, lenient),
        behaviour(np.arange(10) < 2),
        behaviour(np.ones(10)),
    )


def test_the_line_is_the_headlines_over_what_empty_outputs_could_reach(recovered):
    task, result, weaker, stronger = recovered
    line = recovered_line(result, task, task.split("test"), weaker, stronger)
    assert line.weaker.tolist() == [1.0] * 8 + [0.0] * 2
    assert line.stronger.tolist() == [1.0] * 10
    luck = chance_right(task, task.split("test"), result.texts["meant"])
    assert line.null[:2].tolist() == [1.0, 1.0]  # never below what the weaker does unaided
    assert line.null[2:].tolist() == luck[2:].tolist()
    assert 0 < line.null[9] < 0.5
    assert (line.name, line.oracle, line.kind) == ("recovered", "weaker only", "gap")
    assert line.problems.tolist() == list(range(10))
    assert "accuracy +0.60 over random directions" in line.note
    assert "among 4 settings (2.0 bits)" in line.note


def test_the_table_gives_every_vector_its_recovered_gap_and_excess(recovered):
    _, result, weaker, stronger = recovered
    rows = {row["vector"]: row for row in recovery_rows(result, "test", weaker, stronger, seed=0, level=0.95)}
    gaps = {name: row["recovered"] for name, row in rows.items()}
    assert gaps == pytest.approx({"meant": 0.75, "delta": 0.375, "random 1": 0.125, "random 2": -0.125})
    excess = {name: row["excess_over_random"] for name, row in rows.items()}
    assert excess == pytest.approx({"meant": 0.6, "delta": 0.3, "random 1": 0.1, "random 2": -0.1})
    for row in rows.values():
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["recovered_low"] <= row["recovered"] <= row["recovered_high"]
        assert row["excess_low"] <= row["excess_over_random"] <= row["excess_high"]
    assert [name for name, row in rows.items() if row["headline"]] == ["meant"]
