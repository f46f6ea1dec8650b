"""Whatever is wrong with task.yaml is found, placed and named."""

from collections.abc import Callable
from pathlib import Path

import pytest

FolderOf = Callable[..., Path]
ReportsOf = Callable[[Path], list[str]]

SETTINGS = "name: sums\ndescription: Adding up.\ngrader:\n  kind: number\n"
CONTRAST = "contrasts:\n- name: a\n  positive: %s\n  negative: '{prompt}'"


def changed(old: str, new: str) -> str:
    assert SETTINGS.count(old) == 1
    return SETTINGS.replace(old, new)


@pytest.mark.parametrize(
    ("settings", "report"),
    [
        (
            "",
            ": expected a mapping with the keys name, description, grader, stop, max_new_tokens, contrasts,",
        ),
        (
            "- a",
            ": expected a mapping with the keys name, description, grader, stop, max_new_tokens, contras",
        ),
        ("name: [", ":1: expected YAML, got an error: "),
        ("name: a\0", ": expected YAML, got an error: "),
        (SETTINGS + "x: !!python/object/apply:os.getcwd []", ":5: expected YAML, got an error: "),
        (SETTINGS + "---\na: 1", ":5: expected YAML, got an error: "),
        (
            SETTINGS + "x: &a [*a]",
            ":5: expected YAML, got an error: no aliases (& and *) can be used here",
        ),
        (SETTINGS + "problems: []", ":5: field 'problems': expected one of the fields name, description,"),
        (SETTINGS + "1: x", ":5: field '[1]': expected a key that is text, got 1"),
        (SETTINGS + "name: y", ":5: field 'name': expected each key once, got it on line 1 as well"),
        (SETTINGS + "stop: x", ":5: field 'stop': expected a list, got 'x'"),
        (SETTINGS + "stop:\n- a\n- ''", ":7: field 'stop[1]': expected text that is not empty, got ''"),
        (
            SETTINGS + "max_new_tokens: 0",
            ":5: field 'max_new_tokens': expected a number of at least 1, got 0",
        ),
        (SETTINGS + "max_new_tokens: '8'", ":5: field 'max_new_tokens': expected a whole number, got '8'"),
        (SETTINGS + "max_new_tokens: 8.5", ":5: field 'max_new_tokens': expected a whole number, got 8.5"),
        (SETTINGS + "max_new_tokens: yes", ":5: field 'max_new_tokens': expected a whole number, got true"),
        (changed("sums", "3"), ":1: field 'name': expected text, got 3"),
        (changed("sums", '"a\\nb"'), ":1: field 'name': expected text on one line, got 'a\\nb'"),
        (
            changed("kind", "king"),
            ":3: field 'grader.kind': expected one of exact, number, choice, regex, math, ",
        ),
        (
            changed("number", "numbers"),
            ":4: field 'grader.kind': expected 'exact', 'number', 'choice', 'regex', ",
        ),
        (changed("\n  kind: number", " number"), ":3: field 'grader': expected a mapping, got 'number'"),
        (
            SETTINGS + "  pattern: a",
            ":5: field 'grader.pattern': expected no pattern (the kind is number), got",
        ),
        (
            changed("number", "regex"),
            ":3: field 'grader.pattern': expected a regular expression (the kind is",
        ),
        (
            changed("number", "regex\n  pattern: a("),
            ":5: field 'grader.pattern': expected a regular expression, got 'a(', which does not compile: ",
        ),
        (
            changed("number", "regex\n  pattern: (?:a)"),
            ":5: field 'grader.pattern': expected a pattern with a group that holds the answer, as in",
        ),
        (
            SETTINGS + CONTRAST % "think",
            ":7: field 'contrasts[0].positive': expected a template with {prompt} in it, got 'think'",
        ),
        (
            SETTINGS + CONTRAST % "'{prompt}'",
            ":8: field 'contrasts[0].negative': expected a template that differs from positive's, got",
        ),
        (
            SETTINGS + "contrasts:" + "\n- {name: a, positive: 'x {prompt}', negative: '{prompt}'}" * 2,
            ":5: field 'contrasts': expected a name for each, got 'a' twice",
        ),
    ],
)
def test_wrong_settings_are_named_with_their_line(
    folder_of: FolderOf, reports_of: ReportsOf, settings: str, report: str
) -> None:
    reports = reports_of(folder_of(settings=settings))
    assert any(found.startswith(f"task.yaml{report}") for found in reports), reports


def test_every_missing_setting_is_named(folder_of: FolderOf, reports_of: ReportsOf) -> None:
    (found,) = reports_of(folder_of(settings="stop: []"))
    for name in ("name", "description", "grader"):
        assert f"field '{name}': expected " in found


def test_answers_are_checked_by_the_grader_even_where_other_settings_are_wrong(
    folder_of: FolderOf, reports_of: ReportsOf
) -> None:
    settings, *answers = reports_of(folder_of(settings=changed("number", "choice") + "x: 1"))
    assert settings.startswith("task.yaml:5: field 'x'")
    wanted = "field 'answer': expected a single letter (the grader's kind is choice), got '7'"
    assert answers == [f"problems.jsonl:{line}: {wanted}" for line in (1, 2, 3)]
