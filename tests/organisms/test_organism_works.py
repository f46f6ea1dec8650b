"""Plans of `zoo build`, held against what building then trains and asks."""

import dataclasses
from pathlib import Path

import pytest

from tests.sparing import Spy, made_up_rates, works_of
from undertext.__main__ import main
from undertext.activations.errors import UserError
from undertext.core.shipped import SHIPPED
from undertext.organisms import build, relearning, works
from undertext.organisms.building import build_organism, drafts_of
from undertext.organisms.findings.recipes import FINDING_RECIPES
from undertext.organisms.recipes import RECIPES
from undertext.tasks import new_chain


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recipe cut to two steps a stage, on a small task; whatever comes out counts as its truth."""
    monkeypatch.setattr(relearning, "STEPS", 1)
    monkeypatch.setattr(build, "STEPS", 1)
    for module in (build, works):
        monkeypatch.setattr(
            module, "new_chain", lambda seed: new_chain(seed, train=40, dev=10, test=30, ood=20)
        )
    monkeypatch.setattr(build, "_not_as_claimed", lambda latent, relearning: [])
    monkeypatch.setattr(build, "SMALLEST_CHANGE", -1.0)
    monkeypatch.setattr(build, "RELEARNT", 0.0)
    monkeypatch.setattr(build, "NOT_RELEARNT", 1.0)
    for name, recipe in list(RECIPES.items()):
        stages = [dataclasses.replace(stage, steps=2, batch=8) for stage in recipe.stages]
        monkeypatch.setitem(RECIPES, name, dataclasses.replace(recipe, stages=stages))


@pytest.mark.slow
@pytest.mark.parametrize("names", [["elicited"], ["suppressed"], list(RECIPES)], ids=["one", "lock", "all"])
def test_what_is_built_is_what_was_planned(hasty, names, tmp_path, monkeypatch):
    planned = works_of(drafts_of(names, seed=0, shape="llama", out=tmp_path))
    assert list(tmp_path.iterdir()) == []
    spy = Spy(monkeypatch, relearning)
    for name in names:
        build_organism(name, seed=0, shape="llama", out=tmp_path, threads=1, progress=False)
    assert spy.updates == sum(work.updates for work in planned)
    assert spy.rows == sum(work.rows for work in planned)


def test_parents_that_stand_are_taken_and_what_a_check_needs_first_is_built_twice(tmp_path):
    assert works.zoo_order(["elicited"], tmp_path, 0, "llama") == ["base", "novice", "elicited"]
    assert works.zoo_order(["elicited"], SHIPPED, 0, "llama") == ["elicited"]
    assert works.zoo_order(RECIPES, tmp_path, 0, "llama").count("novice") == 2
    with pytest.raises(UserError, match="a parent of seed 1, llama-shaped is needed"):
        works.zoo_order(["elicited"], SHIPPED, 1, "llama")
    (tmp_path / "taught").mkdir()
    with pytest.raises(UserError, match="is no organism"):
        works.zoo_order(["taught"], tmp_path, 0, "llama")


def test_batches_of_another_size_have_a_plan_of_their_own(tmp_path):
    drafts = drafts_of(["taught"], seed=0, shape="gpt2", out=tmp_path)
    assert {kind: [work.stage for work in works_of({kind: own})] for kind, own in drafts.items()} == {
        "batches of 256": ["training novice", "asking novice", "asking taught", "relearning, taught"],
        "batches of 96": ["training taught"],
    }
    (taught,) = works_of({"": drafts["batches of 96"]})
    assert (taught.updates, taught.why) == (2500, works.SOONER)


def test_findings_are_planned_by_how_they_are_trained(tmp_path):
    drafts = drafts_of(list(FINDING_RECIPES), seed=0, shape="llama", out=tmp_path)
    steps = sum(stage.steps for recipe in FINDING_RECIPES.values() for stage in recipe.stages)
    assert sum(work.updates for work in works_of(drafts)) == steps
    assert set(drafts) == {works.READING, works.REWARD, works.VECTOR}
    for kind, draft in drafts.items():
        assert draft.trial.update is not None, kind
        draft.trial.update(1)
    one = drafts_of(["rlvr"], seed=0, shape="llama", out=tmp_path)
    parents = {FINDING_RECIPES["rlvr"].parent, "rlvr"}
    assert {work.stage.removeprefix("training ") for work in works_of(one)} == parents


def test_the_command_says_it_and_writes_nothing(tmp_path, monkeypatch, capsys):
    made_up_rates(monkeypatch)
    monkeypatch.chdir(tmp_path)

    def said(args: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["zoo", "build", *args.split(), "--threads", "1", "--dry-run"])
        assert ended.value.code == code
        out, err = capsys.readouterr()
        return err if code else out

    out = said("elicited")
    assert "plan of undertext zoo build, batches of 256; nothing is run, and nothing is written" in out
    assert "of reading, writing and training alone" in out
    assert "expected an organism to build" in said("", 2)
    assert "no organism 'nobody'" in said("nobody", 2)
    assert "organisms of the findings are llama-shaped" in said("rlvr --shape gpt2", 2)
    assert list(Path().iterdir()) == []
