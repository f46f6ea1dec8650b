"""Whatever a task's files hold, `undertext task check` says a line for each bad line, and no more."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undertext.activations.errors import UserError
from undertext.tasks import Problem, check_prompts, drawn, load_task, new_chain, shared_prompts
from undertext.tasks.command import run

FolderOf = Callable[..., Path]

SETTINGS = "name: sums\ndescription: Adding up.\ngrader:\n  kind: number\n"
ESC = "\\u001b[31m\\u202e"
HOSTILE = [
    SETTINGS + "stop: &a [x]\nname: *a",
    SETTINGS + "<<: {a: 1}",
    SETTINGS + "max_new_tokens: 0x" + "f" * 10_000,
    SETTINGS + "max_new_tokens: 1000000000",
    SETTINGS + "max_new_tokens: !!bool maybe",
    SETTINGS + "max_new_tokens: !!timestamp now",
    SETTINGS + f'"{ESC}": 1',
    SETTINGS + f'"{"k" * 5000}": 1',
    SETTINGS + "contrasts: [{name: a, positive: '{prompt}" + "x" * 30_000 + "', negative: '{prompt}'}]",
    SETTINGS + "x: " + "[" * 1000,
    SETTINGS + "x" * 5_000_000,
    SETTINGS.replace("number", "regex") + "  pattern: '((a{1000}){1000}){1000}'",
    SETTINGS.replace("number", "regex") + f'  pattern: "(?P<{ESC}>a)"',
    SETTINGS.replace("number", f'"{ESC}"'),
    SETTINGS + "x: !!\x1b y",
    SETTINGS + "\u202ex: [",
]
LINES = [
    '{"id": "p", "split": "test", "prompt": "p", "answer": "' + ESC + '"}',
    '{"id": "p", "split": "' + ESC + '", "prompt": "p", "answer": 7}',
    '{"' + ESC + '": 1}',
    '{"id": "p", "split": "test", "prompt": "p", "answer": 7, "values": {"' + "v" * 5000 + '": null}}',
    '{"id": "p", "split": "test", "prompt": "p", "answer": ' + "9" * 5000 + "}",
    '{"id": "p", "split": "test", "prompt": "p", "answer": 7, "values": {"v": "a\\u2028b"}, '
    '"counterfactuals": {"v": {"a\\u2028b": 8}}}',
    "[" * 100_000,
    "\u202e",
]


def check(folder: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        run(["check", str(folder)])
    return str(caught.value).split("\n")


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_settings_are_lines(folder_of: FolderOf, number: int) -> None:
    for line in check(folder_of(settings=HOSTILE[number])):
        assert line.isprintable()
        assert len(line) < 1500


@pytest.mark.parametrize("number", range(len(LINES)))
def test_hostile_problems_are_lines(folder_of: FolderOf, number: int) -> None:
    for line in check(folder_of(LINES[number])):
        assert line.isprintable()
        assert len(line) < 1500


@given(
    st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(HOSTILE[:3]), st.sampled_from(LINES[:5])
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_lines(folder_of: FolderOf, one: bytes, two: bytes, text: str, line: str) -> None:
    folder = folder_of(settings=text.encode()[:80] + one, problems=line.encode()[:90] + two)
    assert all(each.isprintable() for each in check(folder))


def test_pipes_are_not_waited_for(folder_of: FolderOf) -> None:
    folder = folder_of()
    (folder / "problems.jsonl").unlink()
    os.mkfifo(folder / "problems.jsonl")
    (line,) = check(folder)
    assert line.endswith("problems.jsonl: expected a regular file, got a pipe or a device")


def test_a_split_whose_prompts_are_all_fitted_on_is_refused(folder_of: FolderOf) -> None:
    folder = folder_of()  # one prompt, in every split
    (line,) = check(folder)
    assert line == "task 'sums': expected prompts of its own in 'test', got 1 that train or dev has as well"
    task = load_task(folder_of({"id": "q", "prompt": "5 + 5 ="}, {"id": "r", "prompt": "3 +  4 ="}))
    assert shared_prompts(task) == {"test": 2}
    assert check_prompts(task) == ["2 of 3 prompts in 'test' stand in train or dev as well"]
    assert shared_prompts(new_chain(0, train=20, dev=5, test=9, ood=5)) == {}


@given(st.permutations(range(12)), st.integers(0, 9))
def test_draws_do_not_hang_on_the_order_of_lines(order: list[int], seed: int) -> None:
    problems = [Problem(id=str(i), split="test", prompt="p", answer="1") for i in order]
    inorder = [Problem(id=str(i), split="test", prompt="p", answer="1") for i in range(12)]
    assert drawn(problems, seed, 5) == drawn(inorder, seed, 12)[:5]
    assert sorted(p.id for p in drawn(problems, seed)) == sorted(p.id for p in inorder)


def test_another_seed_draws_others() -> None:
    problems = new_chain(0, train=20, dev=5, test=5, ood=5).problems
    assert drawn(problems, 0) != drawn(problems, 1)
