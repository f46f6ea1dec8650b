"""Which probe is read at every token, and of what; why there is none."""

import torch

from tests.jobs.compare.made_up_readings import SOURCES, made_up
from undertext.activations import HookPoint
from undertext.jobs.compare.config import verdict_rule
from undertext.jobs.compare.token_probe import value_probe
from undertext.measures.decoding.kinds import Fitted
from undertext.measures.decoding.readings import Readings
from undertext.tasks.value_tokens import ValueTokens

RULE, POINTS = verdict_rule(), [HookPoint(3, "resid_post")]
NONE = ValueTokens([], torch.zeros(0, dtype=torch.long), [], [], [])


def fitted(readings: Readings) -> Readings:
    """The same with a probe of each checkpoint, with weights of its own."""
    for number, (name, source) in enumerate(sorted(readings.chosen)):
        if source in ("weaker", "stronger"):
            coef = torch.full((1, 2, 4), float(number))
            classes = torch.tensor([1, 0])  # a probe's classes need not stand in the value's order
            readings.probes[name, source] = Fitted(coef, torch.zeros(1, 2), classes, torch.ones(1), 0)
    return readings


def chosen(values: dict[str, dict[str, float]]) -> tuple[str | None, str]:
    found, why = value_probe({"base": fitted(made_up(values))}, POINTS, ["test"], RULE)
    return (None if found is None else found.name), why


def test_the_value_is_the_one_that_both_read_best_on_dev_and_the_last_of_equals():
    better = {**SOURCES, "weaker": 0.7}
    assert chosen({"a": SOURCES, "b": better, "c": SOURCES}) == ("b", "")
    assert chosen({"a": better, "b": SOURCES, "c": better}) == ("c", "")
    # A value that a null reads as well is none that counts, however well it is read.
    assert chosen({"a": SOURCES, "b": {**better, "stronger": 1.0, "surface": 1.0}}) == ("a", "")


def test_without_such_a_value_there_is_no_probe_and_a_reason():
    assert chosen({"a": {**SOURCES, "surface": 0.9}}) == (
        None, "no value is read far enough over the nulls on dev, as `decodable` asks",
    )  # fmt: skip
    unread = value_probe({"base": Readings({"dev": NONE, "test": NONE}, {})}, POINTS, ["test"], RULE)
    assert unread == (None, "no probe can be fitted to a value of the task")
    nothing = value_probe({}, POINTS, ["test"], RULE)
    assert nothing == (None, "no checkpoint counts as the weaker one, and no probe was fitted")


def test_a_value_that_no_judged_problem_has_is_not_read():
    readings = made_up({"a": SOURCES})
    readings.sites = {"dev": readings.sites["dev"], "test": NONE}
    found, why = value_probe({"base": fitted(readings)}, POINTS, ["test"], RULE)
    assert found is None
    assert "no problem that is judged" in why


def test_each_checkpoint_has_its_own_probe_and_each_problem_its_last_value():
    readings = made_up({"a": SOURCES}, 3)
    labels = ["x", "y", "x", "never shown"]
    readings.sites = {
        split: ValueTokens([[1]] * 4, torch.tensor([0, 0, 1, 3]), [0] * 4, ["a"] * 4, labels)
        for split in ("dev", "test")
    }
    for source in SOURCES:
        for split in ("dev", "test"):
            readings.right["a", split][source] = torch.full((1, 4), source in ("weaker", "stronger"))
    found, _ = value_probe({"tuned": fitted(readings)}, POINTS, ["test"], RULE)
    assert found is not None
    # Problem 0 has x, then y; the probe's first class is y. Problem 2 has none, and problem 3 a new one.
    assert found.wanted("base", "test", [0, 1, 2, 3]) == [0, 1, None, None]
    weights = {role: float(found.probes[role].coef[0, 0]) for role in ("base", "tuned")}
    of = {source: float(readings.probes["a", source].coef[0, 0, 0]) for source in ("weaker", "stronger")}
    assert weights == {"tuned": of["weaker"], "base": of["stronger"]}
    assert len(set(weights.values())) == 2
    digests = {found.digest(role, wanted) for role in ("base", "tuned") for wanted in ([0, 1], [0, None])}
    assert len(digests) == 4
