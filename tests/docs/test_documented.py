"""What pages list is what there is, and what they show of tasks is what happens."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from tests.imports import ROOT
from tests.toys import FAMILIES
from undertext.activations import SITES, GateAt
from undertext.activations.errors import UserError
from undertext.activations.operators import OPERATORS
from undertext.tasks import Task, load_task, value_positions
from undertext.tasks.fields import Part
from undertext.tasks.prompt_form import PromptForm, Reasoning
from undertext.tasks.task import Contrast, Problem, Settings, Step

GROUND, TASKS = ((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("ground", "tasks"))
SETTINGS, PROBLEMS, ASKED, COUNTERFACTUAL, BAD_LINES, ERROR = re.findall(
    r"```(?:yaml|json|text)\n(.*?)```", TASKS, flags=re.DOTALL
)


def test_operators_gates_and_sites_are_named():
    for name in (*OPERATORS, *get_args(GateAt), *SITES):
        assert f"`{name}`" in GROUND or f'`"{name}"`' in GROUND, name


def test_families_that_are_tested_are_named():
    listed = GROUND.split("are tested against")[0].rsplit("\n\n", 1)[1].lower()
    assert [family for family in FAMILIES if family not in re.sub("[ -]", "", listed)] == []


def test_the_index_lists_every_page():
    listed = re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs" / "index.md").read_text())
    assert sorted(listed) == sorted(
        path.name for path in (ROOT / "docs").glob("*.md") if path.name != "index.md"
    )


def test_modules_that_pages_and_notebooks_import_are_in_the_api():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.py")]
    used = {
        name
        for path in pages
        for name in re.findall(r"^from (undertext[\w.]*) import", path.read_text(), re.M)
    }
    listed = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert len(used) > 20
    assert used - set(listed) == set()
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_every_extra_is_named(page: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [name for name in extras if f"`{name}`" not in (ROOT / page).read_text()] == []


def load(tmp_path: Path, problems: str, settings: str = SETTINGS) -> Task:
    folder = tmp_path / "sums"
    folder.mkdir()
    (folder / "task.yaml").write_text(settings, encoding="utf-8")
    (folder / "problems.jsonl").write_text(problems, encoding="utf-8")
    return load_task(folder)


def test_the_example_is_a_task(tmp_path: Path) -> None:
    task = load(tmp_path, PROBLEMS)
    assert task.splits == ["train", "dev", "test", "ood"]
    assert [position.name for position in value_positions(task.problems[-1])] == ["first", "sum"]


def test_the_lines_on_prompts_are_settings(tmp_path: Path) -> None:
    task = load(tmp_path, PROBLEMS, SETTINGS + ASKED)
    assert task.prompt is not None
    assert task.tuned_prompt is not None
    assert (task.prompt.kind, task.prompt.examples) == ("template", 3)
    assert task.prompt.template == "Question: {prompt}\nAnswer:"
    assert task.tuned_prompt.system == r"Put the answer in \boxed{}."
    assert task.tuned_prompt.switches == {"enable_thinking": True}
    assert task.reasoning is not None
    assert (task.reasoning.open, task.reasoning.close) == ("<think>", "</think>")


def test_the_counterfactual_line_is_a_problem(tmp_path: Path) -> None:
    first, second = value_positions(load(tmp_path, PROBLEMS + COUNTERFACTUAL).problems[-1])
    assert (first.said_after, first.counterfactuals) == ("1 + 2 = ", {"4": "9", "6": "11"})
    assert second.counterfactuals == {}


def test_the_error_is_what_the_bad_lines_give(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, PROBLEMS + BAD_LINES)
    assert str(caught.value).replace(str(tmp_path / "sums"), "sums") == ERROR.rstrip("\n")


@pytest.mark.parametrize("part", [Settings, Contrast, Problem, Step, PromptForm, Reasoning])
def test_every_field_is_documented(part: type[Part]) -> None:
    for field in part.model_fields:
        assert f"`{field}`" in TASKS
