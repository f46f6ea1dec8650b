"""Loading task folders: what is accepted, and what is wrong with paths and files as a whole."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from undertext.activations.errors import UserError
from undertext.tasks import load_task

FolderOf = Callable[..., Path]
ReportsOf = Callable[[Path], list[str]]


def test_a_task_with_every_field_is_read_as_written(folder_of: FolderOf) -> None:
    settings = (
        "name: sums\ndescription: d\ngrader: {kind: regex, pattern: 'answer (\\d+)'}\n"
        'stop: ["\\n", END]\nmax_new_tokens: 5\n'
        "contrasts:\n- {name: c, positive: 'think {prompt}', negative: '{prompt} {}'}\n"
    )
    whole = {
        "split": "ood-2",
        "trace": "first 3, then 7",
        "steps": [
            {"text": "first 3", "values": {"a": 3, "b": 0.5, "c": "x"}},
            {"text": "then 7", "valid": False},
        ],
        "values": {"sum": 7},
        "type": "plain",
        "paraphrases": ["add 3 and 4"],
    }
    task = load_task(str(folder_of(whole, settings=settings)))

    assert (task.name, task.description) == ("sums", "d")
    assert (task.grader.kind, task.grader.pattern) == ("regex", r"answer (\d+)")
    assert (task.stop, task.max_new_tokens) == (["\n", "END"], 5)
    (contrast,) = task.contrasts
    assert (contrast.name, contrast.positive, contrast.negative) == ("c", "think {prompt}", "{prompt} {}")
    assert task.splits == ["train", "dev", "test", "ood-2"]
    (read,) = task.split("ood-2")
    assert read.steps[0].values == {"a": 3, "b": 0.5, "c": "x"}
    assert [step.valid for step in read.steps] == [True, False]
    assert (read.values, read.type, read.paraphrases) == ({"sum": 7}, "plain", ["add 3 and 4"])


def test_what_is_left_out_has_its_documented_default(folder_of: FolderOf) -> None:
    task = load_task(folder_of())
    assert (task.stop, task.max_new_tokens, task.contrasts, task.grader.pattern) == ([], 512, [], None)
    bare = task.problems[0]
    assert (bare.trace, bare.steps, bare.values, bare.type, bare.paraphrases) == (None, [], {}, None, [])


def test_blank_lines_carriage_returns_and_a_last_line_without_an_end_are_fine(folder_of: FolderOf) -> None:
    folder = folder_of()
    for name, end in (("task.yaml", "\r\n"), ("problems.jsonl", "\r\n\r\n  \r\n")):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_bytes(text.strip().replace("\n", end).encode())
    assert len(load_task(folder).problems) == 3


def test_line_separators_inside_text_do_not_end_a_line(folder_of: FolderOf) -> None:
    odd = "<script>{x}</script>\u2028\u0085\x0b\u2029 {prompt} \U0001f600"
    line = {"id": "odd", "split": "test", "prompt": odd, "answer": "7"}
    assert load_task(folder_of(json.dumps(line, ensure_ascii=False))).problems[-1].prompt == odd


@pytest.mark.parametrize(
    ("number", "text"),
    [("7", "7"), ("-7", "-7"), ("7.50", "7.5"), ("1e22", "1e+22"), ("9" * 400, "9" * 400)],
)
def test_numbers_as_id_and_answer_become_text(folder_of: FolderOf, number: str, text: str) -> None:
    line = f'{{"id": {number}, "split": "test", "prompt": "p", "answer": {number}}}'
    read = load_task(folder_of(line)).problems[-1]
    assert (read.id, read.answer) == (text, text)


def test_a_split_that_is_not_there_is_named_with_those_that_are(folder_of: FolderOf) -> None:
    task = load_task(folder_of())
    with pytest.raises(UserError, match="no split 'ood'; its splits: train, dev, test"):
        task.split("ood")


def test_wrong_paths(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, got in (("none", "nothing there"), ("x" * 5000, "nothing there"), ("file", "a file")):
        with pytest.raises(UserError, match=rf"holding task\.yaml and problems\.jsonl, got {got}"):
            load_task(tmp_path / name)


def test_missing_and_unreadable_files(tmp_path: Path, reports_of: ReportsOf) -> None:
    (tmp_path / "problems.jsonl").mkdir()
    missing, unreadable = reports_of(tmp_path)
    assert missing == "task.yaml: expected this file in the task folder, got nothing there"
    assert unreadable.startswith("problems.jsonl: expected a file that can be read, got: ")


def test_bytes_that_are_not_utf8_are_placed(folder_of: FolderOf, reports_of: ReportsOf) -> None:
    assert reports_of(folder_of(settings=b"name: a\nx: \xe9", problems=b'\n\n{"\xff"}')) == [
        "task.yaml:2: expected YAML, got an error: byte 0xe9, which is not UTF-8",
        "problems.jsonl:3: expected UTF-8, got byte 0xff at 3",
    ]


def test_a_byte_order_mark_is_named_and_the_rest_still_read(
    folder_of: FolderOf, reports_of: ReportsOf
) -> None:
    yaml_mark, mark, bad = reports_of(folder_of("{", encoding="utf-8-sig"))
    assert yaml_mark == "task.yaml:1: expected UTF-8 without a byte order mark, got one"
    assert mark == "problems.jsonl:1: expected UTF-8 without a byte order mark, got one"
    assert bad.startswith("problems.jsonl:4: ")


def test_utf16_is_named(folder_of: FolderOf, reports_of: ReportsOf) -> None:
    assert reports_of(folder_of(encoding="utf-16")) == [
        "task.yaml:1: expected UTF-8 without a byte order mark, got UTF-16",
        "problems.jsonl:1: expected UTF-8 without a byte order mark, got UTF-16",
    ]
