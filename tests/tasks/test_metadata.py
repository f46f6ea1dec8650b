"""A problem's `group` and `metadata`, in Python and through a folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from undertext.tasks import Grader, Problem, Task, load_task, write_task

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab\n\"'é"),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text("ab", max_size=3), part, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc", max_size=4), JSON, max_size=4))
def test_any_json_comes_back(tmp_path_factory, metadata):
    folder = tmp_path_factory.mktemp("task") / "task"
    problems = [
        Problem(id=split, split=split, prompt="Q", answer="1", group="passage 3", metadata=metadata)
        for split in ("train", "dev", "test")
    ]
    task = Task(name="t", description="d", grader=Grader(kind="number"), problems=problems)
    write_task(task, folder)
    assert load_task(folder).problems == problems


def deep(n):
    return {"a": deep(n - 1)} if n else {}


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": float("nan")},
        {"a": (1, 2)},
        {1: "a"},
        {"a": {1, 2}},
        {"a": "\ud800"},
        {"a": "x" * 300_000},
        deep(50),
        [1],
        "text",
    ],
)
def test_what_is_no_metadata(metadata):
    with pytest.raises(ValidationError):
        Problem(id="1", split="test", prompt="Q", answer="1", metadata=metadata)


def test_a_bad_line_is_named(folder_of, reports_of):
    reports = reports_of(
        folder_of({"metadata": [1]}, {"id": "q", "group": 3}, '{"id": "r", "metadata": ' + "[" * 99)
    )
    assert [report.partition(": ")[0] for report in reports] == [f"problems.jsonl:{n}" for n in (4, 5, 6)]
    assert "field 'metadata': expected a mapping of names to values, got a list" in reports[0]
    assert "field 'group': expected text, got 3" in reports[1]
