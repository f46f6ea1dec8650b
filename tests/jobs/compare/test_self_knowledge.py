"""Where a task names no values: whether a checkpoint will be right is read, on models that are known."""

from undertext import CompareConfig, compare, zoo
from undertext.activations import Checkpoint, HookPoint
from undertext.jobs.compare.self_knowledge import measure_right, names_no_values
from undertext.tasks import Task, new_chain

PLAIN: dict[str, object] = {"steps": [], "values": {}, "trace": None}


def bare_chain() -> Task:
    """The chain task with nothing but prompts and answers."""
    task = new_chain(0, train=200, dev=60, test=120, ood=0)
    return task.model_copy(update={"problems": [p.model_copy(update=PLAIN) for p in task.problems]})


def test_the_base_knows_which_wording_it_will_get_right():
    task = bare_chain()
    assert names_no_values(task)
    assert not names_no_values(new_chain(0, train=3, dev=3, test=3, ood=0))
    weaker, stronger = (Checkpoint.load(zoo(name)) for name in ("suppressed", "base"))
    points = [HookPoint(layer, "resid_post") for layer in range(weaker.n_layers)]
    readings = measure_right(weaker, stronger, task, ["test"], points, CompareConfig())
    assert readings is not None
    # `find` is always right and `ask` a guess among seven: knowing the wording gives 13 in 14.
    assert readings.accuracy("right", "test", "stronger") > 0.85
    assert readings.accuracy("right", "test", "random_init") < 0.95
    # The locked model guesses everywhere, and there is nothing to know about a guess.
    assert readings.accuracy("right", "test", "weaker") < 0.92
    assert readings.chosen["right", "stronger"] in range(len(points))


def test_a_checkpoint_that_is_always_right_has_nothing_to_tell():
    weaker, stronger = (Checkpoint.load(zoo(name)) for name in ("base", "elicited"))
    points = [HookPoint(3, "resid_post")]
    assert measure_right(weaker, stronger, bare_chain(), ["test"], points, CompareConfig()) is None


def test_a_bare_task_still_gets_the_true_verdict_and_the_reading_is_in_the_table():
    comparison = compare(
        zoo("base"), zoo("suppressed"), bare_chain(), config=CompareConfig(threads=1, search="halving")
    )
    assert comparison.splits["test"].verdict == "suppressed"
    names = set(comparison.tables["probes"].column("name").to_pylist())
    assert names == {"answer", "right"}
    lines = {line.name for line in comparison.splits["test"].evidence}
    assert "recovered" in lines
