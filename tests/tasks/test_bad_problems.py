"""Whatever is wrong with a line of problems.jsonl is found, placed and named, all of it at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FolderOf = Callable[..., Path]
ReportsOf = Callable[[Path], list[str]]

STEPS = [{"text": "b = 2"}, {"text": "a = 1"}]
VALUE = '{"id": "p", "split": "test", "prompt": "p", "answer": 7, "values": {"v": %s}}'


def counterfactual(answers: Any) -> dict[str, Any]:
    """Fields of a problem or step whose one value, `v`, is 2."""
    return {"values": {"v": 2}, "counterfactuals": answers}


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("{", "expected one JSON object, got text that is not JSON: "),
        ("[1]", "expected one JSON object, got a list"),
        ("3", "expected one JSON object, got 3"),
        ("null", "expected one JSON object, got null"),
        ("[" * 100_000, "expected one JSON object, got one nested too deep"),
        ('{"id": "a", "id": "b"}', "expected each field once, got 'id' twice"),
        ({"id": ...}, "field 'id': expected text, got nothing"),
        ({"id": True}, "field 'id': expected text or a finite number, got true"),
        ({"id": "good-dev"}, "field 'id': expected an id of its own, got 'good-dev', which line 2 has"),
        ({"prompt": ...}, "field 'prompt': expected text, got nothing"),
        ({"prompt": ""}, "field 'prompt': expected text that is not blank, got ''"),
        ({"prompt": 5}, "field 'prompt': expected text, got 5"),
        ({"prompt": None}, "field 'prompt': expected text, got null"),
        ({"prompt": "\ud800"}, "field 'prompt': expected text without lone surrogates, got '\\ud800'"),
        (
            {"prompt": ..., "split": ...},
            "field 'split': expected text, got nothing; field 'prompt': expected",
        ),
        ({"answer": " \t"}, "field 'answer': expected text that is not blank, got ' \\t'"),
        ({"answer": ["7"]}, "field 'answer': expected text or a finite number, got a list"),
        ({"answer": "seven"}, "field 'answer': expected a number (the grader's kind is number), got 'seven'"),
        ({"split": "te st"}, "field 'split': expected a name of letters, digits, '_' and '-', such as"),
        ({"split": "../x"}, "field 'split': expected a name of letters, digits, '_' and '-', such as"),
        ({"split": "test\n"}, "field 'split': expected a name of letters, digits, '_' and '-', such as"),
        ({"split": ""}, "field 'split': expected a name of letters, digits, '_' and '-', such as"),
        ({"anwser": "7"}, "field 'anwser': expected one of the fields id, split, prompt, answer, trace,"),
        ({"type": 3}, "field 'type': expected text, got 3"),
        ({"steps": "a"}, "field 'steps': expected a list, got 'a'"),
        ({"steps": ["a"]}, "field 'steps[0]': expected a mapping, got 'a'"),
        ({"steps": [{}]}, "field 'steps[0].text': expected text, got nothing"),
        ({"steps": [{"text": "a", "valid": 1}]}, "field 'steps[0].valid': expected true or false, got 1"),
        ({"steps": [{"text": "a", "vald": 1}]}, "field 'steps[0].vald': expected one of the fields text,"),
        ({"steps": [{"text": "a", "values": {"v": True}}]}, "field 'steps[0].values.v': expected text or"),
        ({"steps": STEPS, "trace": "a = 1 b = 2"}, "field 'steps': expected steps whose texts follow one"),
        ({"values": [1]}, "field 'values': expected a mapping of names to values, got a list"),
        ({"values": {"v": None}}, "field 'values.v': expected text or a finite number, got null"),
        ({"values": {"v": ""}}, "field 'values.v': expected text that is not blank, got ''"),
        ({"values": {"": 1}}, "expected text that is not blank, got ''"),
        (VALUE % "NaN", "expected finite numbers, got NaN"),
        (VALUE % "-Infinity", "expected finite numbers, got -Infinity"),
        (VALUE % "1e999", "field 'values.v': expected text or a finite number, got inf"),
        (VALUE % ("1" * 5000), "expected shorter numbers, got one of 5000 digits"),
        (counterfactual({"w": {"3": 9}}), "field 'counterfactuals': expected names of its values, got 'w'"),
        (counterfactual({"v": {"3": "x"}}), "field 'counterfactuals.v.3': expected a number (the grader's"),
        (
            counterfactual({"v": {"3": 9, "2": 9}}),
            "field 'counterfactuals.v.2': expected the problem's answer '7', since 'v' is 2, got '9'",
        ),
        (counterfactual({"v": {"3": True}}), "field 'counterfactuals.v.3': expected text or a finite number"),
        (counterfactual({"v": 3}), "field 'counterfactuals.v': expected a mapping of names to values, got 3"),
        (
            {"steps": [{"text": "a"}, {"text": "b = 2", **counterfactual({"v": {"2": 9}})}]},
            "field 'steps[1].counterfactuals.v.2': expected the problem's answer '7', since 'v' is 2, got",
        ),
        ({"paraphrases": "a"}, "field 'paraphrases': expected a list, got 'a'"),
        ({"paraphrases": ["a", 3]}, "field 'paraphrases[1]': expected text, got 3"),
        ({"paraphrases": ["a", "a"]}, "field 'paraphrases': expected paraphrases that differ, got 'a' twice"),
        (
            {"prompt": "a", "paraphrases": ["b", "a"]},
            "field 'paraphrases': expected other wordings than the prompt's, got 'a'",
        ),
        ({"paraphrases": [" "]}, "field 'paraphrases[0]': expected text that is not blank, got ' '"),
        ({"paraphrases": list(map(str, range(101)))}, "field 'paraphrases': expected a list of at most 100"),
    ],
)
def test_a_bad_line_is_named_with_its_field(
    folder_of: FolderOf, reports_of: ReportsOf, line: Any, report: str
) -> None:
    (found,) = reports_of(folder_of(line))
    assert found.startswith("problems.jsonl:4: ")
    assert report in found


def test_a_fault_stays_on_one_short_line(folder_of: FolderOf, reports_of: ReportsOf) -> None:
    (found,) = reports_of(folder_of({"split": "no\n" * 500, "steps": [0] * 500}))
    assert found.endswith("; and 497 more")
    assert len(found) < 400


def test_all_bad_lines_are_reported_at_once_in_order(folder_of: FolderOf, reports_of: ReportsOf) -> None:
    lines = ["{", {"id": "x", "answer": "many"}, {"id": "y"}, {"id": "good-test"}, {"id": ...}]
    folder = folder_of(*lines)
    with (folder / "task.yaml").open("a") as file:
        file.write("colour: red\n")
    places = [report.split(": ")[0] for report in reports_of(folder)]
    assert places == ["task.yaml:5", *(f"problems.jsonl:{n}" for n in (4, 5, 7, 8))]


def test_twenty_bad_lines_are_listed_and_the_rest_counted(folder_of: FolderOf, reports_of: ReportsOf) -> None:
    *listed, rest = reports_of(folder_of(*["{}"] * 25))
    assert [report.split(": ")[0] for report in listed] == [f"problems.jsonl:{n}" for n in range(4, 24)]
    assert rest == "problems.jsonl: and 5 more bad lines"


def test_an_id_is_a_repeat_even_of_a_line_that_is_bad_itself(
    folder_of: FolderOf, reports_of: ReportsOf
) -> None:
    first, second = reports_of(folder_of({"id": 3, "prompt": ...}, {"id": "3"}))
    assert first.startswith("problems.jsonl:4: field 'prompt'")
    assert second == "problems.jsonl:5: field 'id': expected an id of its own, got '3', which line 4 has"


@pytest.mark.parametrize("problems", ["", "\n \r\n"])
def test_an_empty_task(folder_of: FolderOf, reports_of: ReportsOf, problems: str) -> None:
    (found,) = reports_of(folder_of(problems=problems))
    wanted = "expected problems in the splits train, dev, test"
    assert found == f"problems.jsonl: {wanted}, got no problems (the task is empty)"


def test_a_missing_split(folder_of: FolderOf, reports_of: ReportsOf) -> None:
    folder = folder_of()
    train, dev, _ = (folder / "problems.jsonl").read_text().splitlines()
    (found,) = reports_of(folder_of(problems=f"{train}\n{dev}\n"))
    assert found == "problems.jsonl: expected problems in the splits train, dev, test, got train, dev"
