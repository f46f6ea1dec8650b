"""Writing tasks: what is written reads back the same, whole or not at all."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undertext.activations.errors import UserError
from undertext.tasks import Task, load_task, new_chain, write_task

SMALL = new_chain(0, train=1, dev=1, test=1, ood=1)

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
line = text.filter(lambda t: len(t.splitlines()) == 1)
values = st.dictionaries(
    text, text | st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=3
)
# Answers for what no value is: for what one is already, there is one right answer alone.
answers = st.dictionaries(text.map("if {}".format), text, max_size=2)


@st.composite
def with_counterfactuals(draw: st.DrawFn, parts: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    part = draw(parts)
    names = [name for name, value in part.get("values", {}).items() if not str(value).startswith("if ")]
    return {**part, "counterfactuals": {name: draw(answers) for name in names}} if names else part


problem = with_counterfactuals(
    st.fixed_dictionaries(
        {"prompt": text, "answer": text},
        optional={
            "steps": st.lists(
                with_counterfactuals(
                    st.fixed_dictionaries(
                        {"text": text},
                        optional={"values": values, "valid": st.booleans(), "dead": st.booleans()},
                    )
                ),
                max_size=2,
            ),
            "values": values,
            "type": text,
            "paraphrases": st.lists(text.map("another wording: {}".format), max_size=2, unique=True),
        },
    )
)
fields = st.fixed_dictionaries(
    {
        "name": line,
        "description": text,
        "grader": st.sampled_from([{"kind": "exact"}, {"kind": "regex", "pattern": "\\s: (a)\n#"}]),
    },
    optional={
        "stop": st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=2),
        "max_new_tokens": st.integers(1, 999),
        "contrasts": st.builds(
            lambda t: [{"name": "c", "positive": t + "{prompt}", "negative": "{prompt}"}], text
        ),
    },
)


@given(fields, st.lists(problem, min_size=4, max_size=5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_task_reads_back_the_same(
    fields: dict[str, Any], problems: list[dict[str, Any]], trace: bool
) -> None:
    for i, problem in enumerate(problems):
        problem |= {"id": f"id {i}", "split": ["train", "dev", "test", "ood", "ood"][i]}
        if trace and problem.get("steps"):
            problem["trace"] = "\n".join(step["text"] for step in problem["steps"])
    task = Task.model_validate({**fields, "problems": problems})
    with TemporaryDirectory() as folder:
        write_task(task, Path(folder) / "new" / "task")
        assert load_task(Path(folder) / "new" / "task") == task


@pytest.mark.parametrize(
    "odd", ["a\x85", "a\u2028b", " é\u2029", "a\ufeff", "\U0001f600", "a\r\nb", "- a: 'b' #"]
)
def test_odd_characters_read_back_the_same(tmp_path: Path, odd: str) -> None:
    task = SMALL.model_copy(update={"description": odd, "stop": [odd]})
    write_task(task, tmp_path / "task")
    assert load_task(tmp_path / "task") == task


def test_other_scripts_are_written_as_they_are(tmp_path: Path) -> None:
    write_task(SMALL.model_copy(update={"description": "Größe 大"}), tmp_path / "task")
    assert "Größe 大" in (tmp_path / "task" / "task.yaml").read_text(encoding="utf-8")


def test_an_empty_folder_is_filled_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    write_task(SMALL, str(tmp_path / "task"))
    assert [p.name for p in tmp_path.iterdir()] == ["task"]
    assert sorted(p.name for p in (tmp_path / "task").iterdir()) == ["problems.jsonl", "task.yaml"]


def test_a_folder_behind_a_link_is_filled(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_task(SMALL, tmp_path / "link")
    assert load_task(tmp_path / "real") == SMALL


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine").write_text("mine")
    with pytest.raises(UserError, match=r"expected a new or an empty folder .*, got one that holds files"):
        write_task(SMALL, tmp_path / "task")
    with pytest.raises(UserError, match=r"expected a new or an empty folder .*, got a file"):
        write_task(SMALL, tmp_path / "task" / "mine")
    with pytest.raises(UserError, match=r"^/: expected a new or an empty folder"):
        write_task(SMALL, "/")
    assert (tmp_path / "task" / "mine").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/task: the task cannot be written there: "):
        write_task(SMALL, tmp_path / "file" / "task")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Path, target: Path) -> Path:
        assert sorted(os.listdir(self)) == ["problems.jsonl", "task.yaml"]
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_task(SMALL, tmp_path / "task")
    assert list(tmp_path.iterdir()) == []
