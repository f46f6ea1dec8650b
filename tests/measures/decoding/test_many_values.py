"""A value of many classes is read in groups or not at all, and in either case the result says so."""

import re
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from undertext import zoo
from undertext.activations import Checkpoint
from undertext.jobs.compare.evidence import reading_flags
from undertext.measures.decoding.config import DecodingConfig
from undertext.measures.decoding.readings import NULLS, Readings
from undertext.measures.decoding.values import locate
from undertext.tasks import Grader, Problem, Step, Task, new_chain
from undertext.tasks.value_tokens import GROUPS, ValueTokens, in_groups, readable_values, unread_values


def tokens_of(values: dict[str, list[Any]]) -> ValueTokens:
    """A row for each value, at the only token of a text of its own."""
    rows = [(name, str(value)) for name, own in values.items() for value in own]
    n = len(rows)
    return ValueTokens(
        [[0]] * n, torch.arange(n), [0] * n, [name for name, _ in rows], [label for _, label in rows]
    )


@given(st.lists(st.integers(-500, 500), min_size=40, max_size=200), st.integers(2, 30))
def test_numbers_keep_their_order_in_groups_of_like_size(numbers, most):
    sites = {"train": tokens_of({"sum": numbers}), "test": tokens_of({"sum": [-1000, 0, 1000]})}
    grouped, counts = in_groups(sites, most)
    labels = grouped["train"].label
    if len(set(numbers)) <= min(most, max(20, len(numbers) // 5)):
        assert not counts
        assert labels == sites["train"].label
        return
    number_of = dict(zip(numbers, labels, strict=True))
    assert [number_of[n] for n in numbers] == labels, "one value is in two groups"
    order = [int(number_of[n].split()[1]) for n in sorted(set(numbers))]
    assert order == sorted(order)
    assert set(order) == set(range(counts["sum"]))
    assert 2 <= counts["sum"] <= min(GROUPS, most)
    # No group holds more than its share and one value's rows.
    largest = max(Counter(numbers).values())
    assert max(Counter(labels).values()) <= len(numbers) / min(GROUPS, most) + 1 + largest
    ends = [f"group {k}" for k in (0, counts["sum"] - 1)]
    assert [grouped["test"].label[0], grouped["test"].label[2]] == ends


def test_what_is_read_in_groups_is_told():
    checkpoint, task = Checkpoint.load(zoo("base")), new_chain(0, train=80, dev=30, test=5, ood=0)
    few, many = (locate(checkpoint, task, task.splits, DecodingConfig(max_classes=n))[1] for n in (4, 20))
    assert not many
    assert few
    assert set(few.values()) == {4}


def test_why_a_value_is_not_read():
    tokens = tokens_of(
        {
            "word": [f"w{i}" for i in range(60)],
            "same": ["x"] * 50,
            "rare": ["a", "b"] * 5,
            "fine": ["a", "b"] * 30,
        }
    )
    sites, grouped = in_groups({"train": tokens}, 30)
    assert not grouped, "words have no size"
    assert readable_values(sites["train"], 30) == {"fine": ["a", "b"]}
    assert unread_values(sites["train"], 30) == {
        "word": "it has 60 distinct values, more than max_classes (30)",
        "same": "it is the same in all of train",
        "rare": "it stands in 10 places of train, fewer than 40",
    }


def task_of(values: dict[str, Any], text: str = "so 3") -> Task:
    problems = [
        Problem(id=split, split=split, prompt="q", answer="3", steps=[Step(text=text, values=values)])
        for split in ("train", "dev", "test")
    ]
    return Task(name="made up", description="For a test.", grader=Grader(kind="number"), problems=problems)


def readings(accuracy: dict[str, float], **more: Any) -> Readings:
    """Read right on these shares of 100 rows of dev by each source."""
    out = Readings({}, {"sum": ["1", "2"]} if accuracy else {}, **more)
    for source, share in accuracy.items():
        out.chosen["sum", source] = 0
        rows = torch.arange(100)[None] < 100 * share
        out.right.setdefault(("sum", "dev"), {})[source] = rows
    return out


LOW = dict.fromkeys(NULLS, 0.3)


@pytest.mark.parametrize(
    ("found", "task", "says"),
    [
        (
            readings({"stronger": 0.4, **LOW}), task_of({"sum": 3}),
            ["not carried: .* \\('sum' 0.40, best null 0.30, control\\), so `decodable`"],
        ),
        (
            readings({}, unread={"sum": "it has 99 distinct values, more than max_classes (40)"}),
            task_of({"sum": 3}),
            ["value 'sum' was not read: it has 99", "nothing to read: no probe can be fitted"],
        ),
        (
            readings({}), task_of({"sum": 8}),
            ["'sum': not read in 3 places .* does not say it", "nothing to read: no step of train"],
        ),
        (
            readings({"stronger": 0.4, **LOW}, grouped={"sum": 10}), task_of({}),
            ["'sum' has many values: read in 10 groups", "the task names no values", "not carried"],
        ),
    ],
)  # fmt: skip
def test_nothing_to_read_is_said_as_what_it_is(found, task, says):
    flags = reading_flags(found, task, [])
    assert len(flags) == len(says)
    for flag, wanted in zip(flags, says, strict=True):
        assert re.search(wanted, flag), flag


def test_what_is_carried_gives_no_flag():
    assert reading_flags(readings({"stronger": 0.9, **LOW}), task_of({"sum": 3}), ["sum"]) == []
    (flag,) = reading_flags(readings({"stronger": 0.9, **LOW}), task_of({"sum": 3}, "so 3, yes 3"), ["sum"])
    assert flag == "value 'sum': not read in 3 places of the task, where its step says it earlier too"
