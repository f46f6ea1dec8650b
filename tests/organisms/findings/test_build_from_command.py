"""`undertext zoo` with organisms of the findings."""

import pytest

from undertext import build_organism, load_task
from undertext.activations.errors import UserError
from undertext.organisms.command import run
from undertext.organisms.findings.families import FAMILIES, task
from undertext.organisms.findings.recipes import FINDING_RECIPES


def test_one_is_built_with_its_base_listed_and_not_checked(toy, tmp_path, capsys):
    out = str(tmp_path)
    assert run(["build", "rich_teacher", "--seed", "3", "--out", out]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "rich_teacher")
    assert {each.parent.name for each in tmp_path.glob("*/organism.json")} == {"chain_base", "rich_teacher"}
    assert run(["list", "--folder", out]) == 0
    base, tuned = capsys.readouterr().out.splitlines()
    assert "seed 3" in base
    assert "a base" in base
    assert "from chain_base" in tuned
    assert "no verdict" in tuned
    assert run(["check", "--folder", out]) == 0
    assert capsys.readouterr().out.count("has no verdict to check") == 2
    assert "zoo build rich_teacher --seed 3" in (tmp_path / "rich_teacher" / "README.md").read_text()


@pytest.mark.slow
def test_all_are_built_by_one_name(toy, tmp_path):
    assert run(["build", "findings", "--out", str(tmp_path)]) == 0
    assert {each.parent.name for each in tmp_path.glob("*/organism.json")} == set(FINDING_RECIPES)
    assert {each.name for each in tmp_path.glob("task-*")} == {
        f"task-{recipe.stages[-1].mixture.family}" for recipe in FINDING_RECIPES.values()
    }


def test_from_python_with_the_task_that_it_is_asked(toy, tmp_path):
    folder = build_organism("exploration", seed=2, out=tmp_path, progress=False)
    asked = load_task(tmp_path / "task-countdown")
    assert folder == tmp_path / "exploration"
    assert asked.model_dump() == task(FAMILIES["countdown"], 2).model_dump()
    assert build_organism("exploration", seed=2, out=tmp_path, progress=False) == folder
    (tmp_path / "task-countdown" / "task.yaml").write_text(
        (tmp_path / "task-countdown" / "task.yaml").read_text().replace("countdown", "other", 1)
    )
    with pytest.raises(UserError, match="holds another task than that of seed 2"):
        build_organism("exploration", seed=2, out=tmp_path, progress=False)
    with pytest.raises(UserError, match=r"no organism 'nobody'; there are: base, .*rlvr"):
        build_organism("nobody", out=tmp_path)


@pytest.mark.parametrize("name", ["findings", "rlvr"])
def test_other_shapes_are_refused(name, tmp_path):
    with pytest.raises(UserError, match="llama-shaped, got --shape gpt2"):
        run(["build", name, "--shape", "gpt2", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_the_names_that_there_are_stand_in_the_mistake():
    with pytest.raises(UserError, match=r"base, elicited.*rich_teacher.*, all or findings"):
        run(["build"])
