"""Every importer from its source to a task's folder and back, and what it says of sources that are wrong."""

import json
from typing import Any

import datasets
import pytest

from tests.tasks.importers.made import CHOICE, GSM8K, LETTERS, LOGS, gsm8k_rows
from undertext.activations.errors import UserError
from undertext.tasks import check_prompts, load_task, values_not_said, values_said_twice, write_task
from undertext.tasks.importers import (
    Columns,
    ImportConfig,
    from_columns,
    from_dataset,
    from_gsm8k_rows,
    from_inspect,
    from_jsonl,
    from_lm_eval,
    from_math_rows,
)


@pytest.fixture
def back(tmp_path):
    """The task as it comes back from its folder, which is as clean as `task check` wants it."""

    def through(imported):
        write_task(imported.task, tmp_path / "task")
        task = load_task(tmp_path / "task")
        assert task.problems == imported.task.problems
        assert check_prompts(task) == []
        assert values_not_said(task.problems) == values_said_twice(task.problems) == {}
        return task

    return through


def test_gsm8k_rows(back):
    rows = gsm8k_rows()
    task = back(from_gsm8k_rows(rows, ImportConfig(group="noun", template="Question: {prompt}\nAnswer:")))
    assert task.grader.kind == "number"
    by_id = {problem.id: problem for problem in task.problems}
    assert set(by_id) == {str(i) for i in range(30)}
    for i, row in enumerate(rows):
        problem = by_id[str(i)]
        assert problem.prompt == f"Question: {row['question']}\nAnswer:"
        assert (problem.answer, problem.group) == (str(3 * i + 5), row["noun"])
        assert [step.values for step in problem.steps] == [{"step1": 4 * i + 6}, {"step2": 3 * i + 5}]
    assert len({(p.group, p.split) for p in task.problems}) == 3


def test_math_rows(back):
    rows = [
        {
            "problem": f"What is ${i} + 1$?",
            "solution": f"We add. So it is $\\boxed{{\\frac{{{i + 1}}}{{1}}}}$.",
            "type": "Algebra",
            "level": "Level 2",
        }
        for i in range(12)
    ]
    task = back(from_math_rows(rows))
    problem = next(p for p in task.problems if p.id == "4")
    assert (problem.answer, problem.type, problem.metadata) == (
        r"\frac{5}{1}",
        "Algebra",
        {"level": "Level 2"},
    )
    assert [step.text for step in problem.steps] == ["We add.", r"So it is $\boxed{\frac{5}{1}}$."]


def test_columns_and_nested_ones(back):
    rows = [
        {
            "q": {"text": f"{i} + 1?"},
            "a": [i + 1, 0],
            "kind": i % 2,
            "key": f"k{i}",
            "s": ["train", "test"][i % 2],
        }
        for i in range(12)
    ]
    columns = Columns.from_text("prompt=q.text,answer=a.0,type=kind,id=key,split=s,values.sum=a.0")
    imported = from_columns(rows, columns)
    task = back(imported)
    assert task.grader.kind == "number"
    assert imported.notes == ["grader: number, as the answers look; --grader names another"]
    problem = task.split("test")[0]
    assert (problem.prompt, problem.answer, problem.type, problem.values) == ("1 + 1?", "2", "1", {"sum": 2})
    assert {p.id for p in task.split("test")} == {f"k{i}" for i in range(1, 12, 2)}


def test_a_trace_of_any_form_is_cut_into_steps(back):
    rows = [{"q": f"Q{i}", "a": "yes", "t": f"First {i}. Then more.\nThe end."} for i in range(9)]
    task = back(from_columns(rows, Columns(prompt="q", answer="a", trace="t")))
    assert task.grader.kind == "exact"
    assert [step.text for step in task.problems[0].steps][1:] == ["Then more.", "The end."]


def test_a_saved_data_set_keeps_its_splits(back, tmp_path):
    rows = gsm8k_rows()
    parts = {"train": datasets.Dataset.from_list(rows[:20]), "test": datasets.Dataset.from_list(rows[20:])}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "gsm8k"))
    task = back(from_dataset(tmp_path / "gsm8k", format="gsm8k"))
    assert {split: len(task.split(split)) for split in task.splits} == {"train": 17, "dev": 3, "test": 10}
    assert {p.prompt for p in task.split("test")} == {row["question"] for row in rows[20:]}
    one = from_dataset(tmp_path / "gsm8k", format="gsm8k", split="test").task
    assert {split: len(one.split(split)) for split in one.splits} == {"train": 4, "dev": 2, "test": 4}
    with pytest.raises(UserError, match="expected one of the splits train, test, got dev"):
        from_dataset(tmp_path / "gsm8k", format="gsm8k", split="dev")


@pytest.mark.parametrize("kind", ["parquet", "json", "csv"])
def test_a_folder_of_files(back, tmp_path, kind):
    (tmp_path / "rows").mkdir()
    made = datasets.Dataset.from_list(gsm8k_rows())
    getattr(made, f"to_{kind}")(str(tmp_path / "rows" / f"rows.{kind}"))
    expected = from_gsm8k_rows(gsm8k_rows()).task.problems
    assert back(from_dataset(tmp_path / "rows", format="gsm8k")).problems == expected
    assert from_dataset(tmp_path / "rows" / f"rows.{kind}", format="gsm8k").task.problems == expected


def test_lm_eval_generation(back):
    rows = [json.loads(line) for line in GSM8K.read_text().splitlines()]
    imported = from_lm_eval(GSM8K)
    task = back(imported)
    sent = {str(row["doc_id"]): row["arguments"]["gen_args_0"]["arg_0"] for row in rows}
    assert {p.id: p.prompt for p in task.problems} == sent  # two filters, one problem
    assert (task.name, task.stop, task.grader.kind) == ("tiny_gsm8k", ["Question:", "</s>"], "number")
    assert {p.id: p.trace for p in task.problems} == {
        str(row["doc_id"]): row["doc"]["answer"] for row in rows
    }
    assert {each["output"] for each in imported.outputs} == {"lol"}
    assert {each["id"] for each in imported.outputs} == set(sent)


@pytest.mark.parametrize("log", [CHOICE, LETTERS])
def test_lm_eval_choices(back, log):
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    task = back(from_lm_eval(log, ImportConfig(group="question")))
    by_id = {p.id: p for p in task.problems}
    for row in rows:
        sent = list(row["arguments"].values())
        problem = by_id[str(row["doc_id"])]
        assert problem.prompt == sent[0]["arg_0"]
        assert problem.answer == sent[int(row["target"])]["arg_1"].strip()
        assert problem.group == row["doc"]["question"]


def test_lm_eval_choices_that_no_space_comes_before_are_told(tmp_path):
    assert from_lm_eval(CHOICE).notes == []
    (tmp_path / "samples.jsonl").write_text(CHOICE.read_text().replace('"arg_1": " ', '"arg_1": "'))
    (note,) = from_lm_eval(tmp_path / "samples.jsonl").notes
    assert note.startswith("choices: scored here after the prompt and a space")


def test_lm_eval_of_a_folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / GSM8K.name).write_bytes(GSM8K.read_bytes())
    assert from_lm_eval(tmp_path).task == from_lm_eval(GSM8K).task
    (tmp_path / "model" / CHOICE.name).write_bytes(CHOICE.read_bytes())
    with pytest.raises(UserError, match="expected one file samples_"):
        from_lm_eval(tmp_path)


def test_inspect_both_formats_and_what_the_log_holds(back):
    imported = from_inspect(LOGS / "sums.eval", ImportConfig(group="family"))
    task = back(imported)
    by_id = {p.id: p for p in task.problems}
    assert {p.id: (p.prompt, p.answer, p.group) for p in task.problems} == {
        f"s{i}": (f"What is {i} + {i + 1}?", str(2 * i + 1), f"f{i % 4}") for i in range(6)
    }
    assert (task.name, task.grader.kind) == ("sums", "number")
    assert imported.notes == ["system texts left out: 6 problems have one"]
    outputs = {each["id"]: each["output"] for each in imported.outputs}
    assert set(outputs) == set(by_id)
    samples = json.loads((LOGS / "sums.json").read_text())["samples"]
    written = from_inspect(LOGS / "sums.json", ImportConfig(group="family"))
    assert {p.id: p for p in written.task.problems} == by_id
    first = {s["id"]: s["output"]["choices"][0]["message"]["content"] for s in samples if s["epoch"] == 1}
    assert {each["id"]: each["output"] for each in written.outputs} == first


def test_inspect_choices(back):
    task = back(from_inspect(LOGS / "letters.eval"))
    assert task.grader.kind == "choice"
    problem = next(p for p in task.problems if p.id == "2")
    assert problem.prompt == "Which is the largest? (1)\n\nA) 1\nB) 6\nC) -2"
    assert problem.answer == "B"


def jsonl(tmp_path, *lines):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return file


GOOD: list[dict[str, Any]] = [{"q": f"Q{i}", "a": i} for i in range(9)]
COLUMNS = Columns(prompt="q", answer="a")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"q": "Q", "b": 1}, "rows.jsonl:10: expected a column 'a', got q, b"),
        ({"q": "Q", "a": None}, "rows.jsonl:10: expected a value in the column 'a', got null"),
        ({"q": " ", "a": 1}, "rows.jsonl:10: field prompt: expected text that is not blank, got ' '"),
        ({"q": ["\x1b[2J"], "a": 1}, "rows.jsonl:10: field prompt: expected text, got a list"),
        (
            {"q": "Q", "a": {"x": 1}},
            "rows.jsonl:10: field answer: expected text or a finite number, got a mapping",
        ),
        ("{", "rows.jsonl:10: expected one JSON object, got text that is not JSON"),
        ("[" * 100_000, "rows.jsonl:10: expected one JSON object"),
    ],
)
def test_a_bad_row_is_named(tmp_path, bad, said):
    with pytest.raises(UserError) as caught:
        from_jsonl(jsonl(tmp_path, *GOOD, bad), COLUMNS)
    assert str(caught.value).replace("'prompt'", "prompt").replace("'answer'", "answer").startswith(said)
    assert len(str(caught.value).splitlines()) == 1
    assert "\x1b" not in str(caught.value)


def test_bad_rows_can_be_left_out_and_are_counted(tmp_path):
    file = jsonl(tmp_path, *GOOD, {"q": "Q"}, {"q": "more", "a": "seven"})
    imported = from_jsonl(file, COLUMNS, ImportConfig(skip_invalid=True, grader="number"))
    assert len(imported.task.problems) == 9
    assert imported.notes == [
        "left out: 2 of 11 rows; the first: rows.jsonl:10: expected a column 'a', got q"
    ]
    with pytest.raises(UserError, match="2 of 11 rows make no problem"):
        from_jsonl(file, COLUMNS, ImportConfig(grader="number"))


def test_an_id_that_comes_again(tmp_path):
    file = jsonl(tmp_path, *({**row, "id": row["a"] % 8} for row in GOOD))
    with pytest.raises(
        UserError, match=r"rows\.jsonl:9: expected an id of its own, got '0', which rows.jsonl:1 has"
    ):
        from_jsonl(file, Columns(prompt="q", answer="a", id="id"))


def test_graders(tmp_path):
    file = jsonl(tmp_path, *GOOD)
    config = ImportConfig(grader=r'{kind: regex, pattern: "is (\\d+)"}')
    assert from_jsonl(file, COLUMNS, config).task.grader.pattern == r"is (\d+)"
    for text in ("nonsense", "{kind: regex}", "{", "&a b"):
        with pytest.raises(UserError, match="--grader"):
            from_jsonl(file, COLUMNS, ImportConfig(grader=text))


@pytest.mark.parametrize(
    "text", ["prompt", "prompt=q", "prompt=q,answer=a,nonsense=b", "=", "prompt=,answer=a"]
)
def test_bad_columns(text):
    with pytest.raises(UserError, match="--columns"):
        Columns.from_text(text)


@pytest.mark.parametrize("cut", [10, 5000, 30_000])
def test_a_log_that_is_cut_short(tmp_path, cut):
    (tmp_path / "cut.eval").write_bytes((LOGS / "sums.eval").read_bytes()[:cut])
    with pytest.raises(UserError, match="expected"):
        from_inspect(tmp_path / "cut.eval")


def test_a_log_with_a_byte_changed(tmp_path):
    data = bytearray((LOGS / "sums.eval").read_bytes())
    for at in range(4000, len(data) - 4000, 37):
        data[at] ^= 0x55
    (tmp_path / "changed.eval").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"changed\.eval"):
        from_inspect(tmp_path / "changed.eval")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"eval": {}, "samples": []}', '{"samples": [{}]}', "\x00"])
def test_what_is_no_log_of_inspect(tmp_path, text):
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(UserError, match=r"log\.json"):
        from_inspect(tmp_path / "log.json")


@pytest.mark.parametrize(
    "changed",
    [
        {"arguments": {}},
        {"arguments": {"gen_args_0": {"arg_0": "only"}}},
        {"arguments": {"gen_args_0": {"arg_0": 7, "arg_1": {}}}},
        {"target": "no number", "doc": {}},
    ],
)
def test_lm_eval_lines_that_make_no_problem(tmp_path, changed):
    lines = GSM8K.read_text().splitlines()[:10]
    rows = [*map(json.loads, lines), {**json.loads(lines[0]), "doc_id": 99, **changed}]
    file = jsonl(tmp_path, *rows)
    with pytest.raises(UserError, match=r"^rows.jsonl:11: "):
        from_lm_eval(file)


def test_no_data_set_there(tmp_path):
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "nowhere" / "at" / "all"):
        with pytest.raises(UserError) as caught:
            from_dataset(source, format="gsm8k")
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("source", ["rows.jsonl", "./rows", "/nowhere/at/all", "data/of/mine"])
def test_a_path_that_leads_nowhere_is_not_looked_for_on_the_hub(source, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(UserError, match=f"^{source}: there is no such file or folder$"):
        from_dataset(source, format="gsm8k")
