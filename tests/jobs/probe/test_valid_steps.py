"""Whether a step is a good one, as a value: read at its end, and carried to types of problem never seen."""

import random

import pytest
import torch

from tests.reading_task import CONFIG, made_task
from undertext.activations import HookPoint, capture
from undertext.jobs.probe.job import probe
from undertext.probes import LDAProbe
from undertext.tasks import Task

HERE = CONFIG.model_copy(
    update={"probes": ("lda",), "controls": (), "positions": (0,), "transfer": ("type",), "splits": ("test",)}
)


@pytest.fixture(scope="module")
def task() -> Task:
    """In one problem of two the first step says another number than the prompt; types in turn."""
    rng, problems = random.Random(0), []
    for i, problem in enumerate(made_task(train=120, dev=40, test=60).problems):
        first, second = problem.steps
        wrong = rng.random() < 0.5
        said = (int(first.values["a"]) + 1) % 3 if wrong else first.values["a"]
        first = first.model_copy(update={"text": f"a = {said} ;", "values": {"a": said}, "valid": not wrong})
        trace = f"{first.text} {second.text} answer {problem.answer}"
        update = {"trace": trace, "steps": [first, second], "type": ("sum", "find")[i % 2]}
        problems.append(problem.model_copy(update=update))
    return made_task().model_copy(update={"problems": problems})


def by_hand(checkpoint, task: Task, split: str, kind: str | None = None):
    """Activations at the last token of each step, and whether it is valid."""
    X, y = [], []
    for problem in task.split(split):
        if kind in (None, problem.type):
            for k, step in enumerate(problem.steps):
                text = f"{problem.prompt} {' '.join(each.text for each in problem.steps[: k + 1])}"
                points = [HookPoint(layer, "resid_post") for layer in (0, 2)]
                X.append(capture(checkpoint, [text], points, "last").activations[:, 0])
                y.append(int(step.valid))
    return torch.stack(X, 1), torch.tensor(y)


def test_steps_are_read_at_their_end_and_carried_to_the_other_type(task, pair):
    result = probe({"base": pair["base"]}, {"made": task}, config=HERE)
    rows = [
        row
        for row in result.tables["probes"].to_pylist()
        if (row["value"], row["split"]) == ("valid", "test")
    ]
    assert [row["n"] for row in rows] == [120, 120]
    X, y = by_hand(pair["base"], task, "test")
    made = LDAProbe().fit(*by_hand(pair["base"], task, "train"))
    assert [row["accuracy"] for row in rows] == pytest.approx(made.score(X, y).tolist(), abs=0.01)
    carried = [
        row
        for row in result.tables["transfer"].to_pylist()
        if row["value"] == "valid" and row["split"] == "test"
    ]
    for kind, other in (("sum", "find"), ("find", "sum")):
        made = LDAProbe().fit(*by_hand(pair["base"], task, "train", other))
        wanted = made.score(*by_hand(pair["base"], task, "test", kind)).tolist()
        found = [
            row["figure"]
            for row in carried
            if (row["fitted"], row["read"], row["measure"]) == ("others", kind, "accuracy")
        ]
        assert found == pytest.approx(wanted, abs=0.02)
    assert {row["measure"] for row in carried} == {"accuracy", "surface"}


@pytest.mark.parametrize("why", ["all are valid", "the task has a value of that name"])
def test_validity_is_no_value_where_nothing_is_told_by_it(task, pair, why):
    def told(step):
        if why == "all are valid":
            return step.model_copy(update={"valid": True})
        return step.model_copy(update={"values": {**step.values, "valid": 1}})

    problems = [
        problem.model_copy(update={"steps": [told(step) for step in problem.steps]})
        for problem in task.problems
    ]
    changed = task.model_copy(update={"problems": problems})
    result = probe({"base": pair["base"]}, {"made": changed}, config=HERE)
    assert set(result.tables["probes"]["value"].to_pylist()) == {"a", "b"}
