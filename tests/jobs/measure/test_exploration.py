"""`measure exploration` on a model that has learnt to search: dead ends, what says so, readings, rows."""

import sys
from typing import Any

import numpy as np
import pytest
import torch

from tests.search_task import SAYS, search_task
from tests.toys import WORDS, random_model, tiny_config, word_tokenizer
from tests.trails_task import toy, whole_task
from undertext import MeasureConfig, MeasureResult, UserError, measure
from undertext.activations import Checkpoint
from undertext.core.statistics import paired_difference
from undertext.tasks import Task

CONFIG = MeasureConfig(problems=16, fit_problems=60, layers=(1, 2), threads=1, says_dead=SAYS)
SEARCHES = """
def says_so(steps, problem):
    return [step.endswith("no ;") for step in steps]
"""


@pytest.fixture(scope="module")
def task() -> Task:
    return search_task(train=44, dev=24, test=16).model_copy(update={"max_new_tokens": 50})


@pytest.fixture(scope="module")
def searcher(task) -> Checkpoint:
    """A tiny model that has learnt the traces of every split by heart."""
    tokenizer = word_tokenizer((*WORDS, "no"))
    model = random_model(tiny_config("llama", len(tokenizer), n_ctx=128), 0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    texts = [f"{problem.prompt} {problem.trace} <eos>" for problem in task.problems]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    for _ in range(150):
        loss = model(**batch, labels=labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Checkpoint.load(model.eval(), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def found(task, searcher) -> MeasureResult:
    return measure(searcher, None, task, "exploration", config=CONFIG, progress=False)


def rows(result: MeasureResult, table: str, **wanted: Any) -> list[dict[str, Any]]:
    every = result.tables[table].to_pylist()
    return [row for row in every if all(row[name] == value for name, value in wanted.items())]


@pytest.mark.slow
def test_dead_ends_of_the_task_are_those_of_its_steps(found, task):
    by_id = {problem.id: problem for problem in task.problems}
    gold = rows(found, "exploration", traces="the task's traces")
    assert len(gold) == 16
    for row in gold:
        states = [step.dead for step in by_id[row["problem"]].steps]
        starts = sum(state and not (k and states[k - 1]) for k, state in enumerate(states))
        assert (row["steps"], row["dead"], row["entered"]) == (len(states), sum(states), starts)
        assert row["left"] == starts  # the last step of a search that has found its target is in none
    figure = found.of("exploration", "dead ends entered", "the task's traces").base
    assert figure is not None
    assert figure.value == pytest.approx(np.mean([row["entered"] for row in gold]))
    for row in rows(found, "steps", writer="task"):
        step = by_id[row["problem"]].steps[row["step"]]
        assert (row["dead"], row["says_dead"]) == (step.dead, step.text.endswith("no ;"))


@pytest.mark.slow
def test_what_the_checkpoint_writes_is_held_against_the_task_s_steps(found):
    own = rows(found, "exploration", traces="own traces")
    assert len(own) == 16
    known = [row["known"] / row["steps"] for row in own if row["steps"]]
    figure = found.of("exploration", "steps of which it is known", "own traces").base
    assert figure is not None
    assert figure.value == pytest.approx(np.mean(known))
    assert figure.value > 0.5
    left = [row["left"] / (row["entered"] - row["cut"]) for row in own if row["entered"] > row["cut"]]
    figure = found.of("exploration", "dead ends left", "own traces").base
    assert figure is not None
    assert (figure.value, figure.n) == (pytest.approx(np.mean(left)), len(left))


@pytest.mark.slow
def test_readings_are_those_of_the_table(found):
    gold = rows(found, "readings", traces="the task's traces")
    said = {(row["problem"], row["step"]): row for row in rows(found, "steps", writer="task")}
    asked = {key for key, row in said.items() if not row["says_dead"]}
    assert {(row["problem"], row["step"]) for row in gold} == asked
    for row in gold:
        assert row["is"] == ("dead" if said[row["problem"], row["step"]]["dead"] else "alive")
    for null, name in (("surface", "the surface"), ("random_init", "random init"), ("chance", "chance")):
        by_problem: dict[str, list[float]] = {}
        for row in gold:
            by_problem.setdefault(row["problem"], []).append(row["right"] - row[null])
        d = np.array([np.mean(own) for own in by_problem.values()])
        figure = found.of("exploration", f"dead branch: over {name}", "the task's traces").base
        wanted = paired_difference(np.zeros(len(d)), d)
        assert figure is not None
        assert (figure.value, figure.low) == (pytest.approx(wanted.value), pytest.approx(wanted.low))


def test_a_pattern_alone_asks_what_the_next_step_will_say(task):
    bare = [
        p.model_copy(update={"steps": [s.model_copy(update={"dead": False}) for s in p.steps]})
        for p in task.problems
    ]
    result = measure(
        toy(), None, task.model_copy(update={"problems": bare}), "exploration", config=CONFIG, progress=False
    )
    by_step = {(row["problem"], row["step"]): row for row in rows(result, "steps", writer="task")}
    assert all(row["dead"] == row["says_dead"] for row in by_step.values())
    gold = rows(result, "readings", traces="the task's traces")
    assert gold
    for row in gold:
        following = by_step[row["problem"], row["step"] + 1]
        assert row["is"] == ("dead" if following["says_dead"] else "alive")


def test_a_function_named_by_the_user(task, tmp_path, monkeypatch):
    (tmp_path / "own_searches.py").write_text(SEARCHES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_searches", raising=False)
    config = CONFIG.model_copy(update={"dead_ends": "own_searches:says_so", "says_dead": None})
    result = measure(toy(), None, task, "exploration", config=config, progress=False)
    for row in rows(result, "steps", writer="task"):
        assert row["dead"] == row["text"].endswith("no ;")
        assert row["says_dead"] is False
    missing = config.model_copy(update={"dead_ends": "own_searches:nothing"})
    with pytest.raises(UserError, match="a function that says which steps are dead as module:function"):
        measure(toy(), None, task, "exploration", config=missing, progress=False)


def test_what_cannot_be_explored_is_said():
    config = MeasureConfig(problems=6, threads=1)
    result = measure(toy(), None, whole_task(), "exploration", config=config, progress=False)
    (gap,) = result.unmeasured
    assert (
        gap.reason == "the task's steps name no dead ends, and neither --dead-ends nor --says-dead is given"
    )
    assert result.measured == []
    few = search_task(train=4, dev=4, test=4)
    result = measure(toy(), None, few, "exploration", config=config, progress=False)
    reasons = {gap.what: gap.reason for gap in result.unmeasured}
    assert reasons["dead branch, base, the task's traces"].startswith("train holds fewer than 5 steps")
    with pytest.raises(ValueError, match="expected a regular expression"):
        MeasureConfig(says_dead="(")
