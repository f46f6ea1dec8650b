"""Where a task names no values: whether a checkpoint will be right is read, on models that are known."""

from collections.abc import Sequence

import pytest

from undertext import CompareConfig, compare, zoo
from undertext.activations import Checkpoint, HookPoint
from undertext.jobs.compare.self_knowledge import measure_right
from undertext.measures.answers import greedy
from undertext.measures.decoding.readings import Readings
from undertext.tasks import Task, new_chain

PLAIN: dict[str, object] = {"steps": [], "values": {}, "trace": None}


def bare_chain() -> Task:
    """The chain task with nothing but prompts and answers."""
    task = new_chain(0, train=200, dev=60, test=120, ood=0)
    return task.model_copy(update={"problems": [p.model_copy(update=PLAIN) for p in task.problems]})


def read(names: tuple[str, str], layers: Sequence[int]) -> Readings | None:
    """Whether the weaker and the stronger of these will be right, read at these layers."""
    task = bare_chain()
    pair = [Checkpoint.load(zoo(name)) for name in names]
    answers = {
        split: (greedy(pair[0], task, task.split(split)), greedy(pair[1], task, task.split(split)))
        for split in ("train", "dev", "test")
    }
    points = [HookPoint(layer, "resid_post") for layer in layers]
    return measure_right(pair[0], pair[1], task, answers, points, seed=0)


@pytest.mark.slow
def test_the_base_knows_which_wording_it_will_get_right():
    readings = read(("suppressed", "base"), range(4))
    assert readings is not None
    # `find` is always right and `ask` a guess among seven: knowing the wording gives 13 in 14.
    assert readings.accuracy("right", "test", "stronger") > 0.85
    assert readings.accuracy("right", "test", "random_init") < 0.95
    # The locked model guesses everywhere, and there is nothing to know about a guess.
    assert readings.accuracy("right", "test", "weaker") < 0.92
    assert readings.chosen["right", "stronger"] in range(4)


def test_a_checkpoint_that_is_always_right_has_nothing_to_tell():
    assert read(("base", "elicited"), [3]) is None


@pytest.mark.slow
def test_a_bare_task_still_gets_the_true_verdict_and_the_reading_is_in_the_table():
    comparison = compare(
        zoo("base"), zoo("suppressed"), bare_chain(), config=CompareConfig(threads=1, search="halving")
    )
    assert comparison.splits["test"].verdict == "suppressed"
    names = set(comparison.tables["probes"].column("name").to_pylist())
    assert names == {"answer", "right"}
    lines = {line.name for line in comparison.splits["test"].evidence}
    assert "recovered" in lines
