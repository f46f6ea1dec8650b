"""The shipped zoo: every card's claims hold, and every pair gets its true verdict."""

import fcntl
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from undertext.core.shipped import SHIPPED, organisms
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.job import compare
from undertext.organisms.build import NEVER_HAD, SPLITS, build, pairs
from undertext.organisms.folder import read_card
from undertext.organisms.recipes import RECIPES
from undertext.organisms.relearning import NOT_RELEARNT, RELEARNT, accuracy, relearn
from undertext.tasks import Task
from undertext.tasks.builtin.chain import new_chain

TUNED = [tuned for _, tuned in pairs()]


def test_every_recipe_is_shipped_as_an_ordinary_folder():
    assert set(organisms()) == set(RECIPES)
    for folder in organisms().values():
        names = {path.name for path in folder.iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json", "organism.json", "README.md"} <= names


@pytest.mark.parametrize("name", RECIPES)
def test_a_card_says_what_the_recipe_says(name):
    card, recipe = read_card(SHIPPED / name), RECIPES[name]
    assert card["truth"] == dict(recipe.truth)
    assert card["parent"] == recipe.parent
    assert [stage["steps"] for stage in card["stages"]] == [stage.steps for stage in recipe.stages]


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_card_s_accuracies_are_the_model_s(name):
    model = AutoModelForCausalLM.from_pretrained(SHIPPED / name)
    found = accuracy(model, new_chain(0), SPLITS)
    for split, value in read_card(SHIPPED / name)["checks"]["accuracy"].items():
        assert found[split] == pytest.approx(value, abs=0.02)  # other machines round otherwise


def judged(
    tuned: str, seed: int, task: Task, search: str = "grid", splits: Sequence[str] = SPLITS
) -> dict[str, str]:
    parent = RECIPES[tuned].parent
    config = CompareConfig(seed=seed, threads=1, search=search, splits=tuple(splits))
    comparison = compare(SHIPPED / str(parent), SHIPPED / tuned, task, config=config)
    return {split: result.verdict for split, result in comparison.splits.items()}


QUICK = ("preserved",)
"""Pairs that the default tests judge, on split test: without a gap nothing is searched. `make demo` and
`make test-all` judge all pairs, on both splits."""


@pytest.mark.parametrize(
    "tuned", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in TUNED]
)
def test_every_pair_gets_its_true_verdict(tuned):
    splits = ("test",) if tuned in QUICK else SPLITS
    found = judged(tuned, 0, new_chain(0), "halving", splits)
    assert found == {split: RECIPES[tuned].truth[split] for split in splits}


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "task_seed"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("tuned", TUNED)
def test_every_pair_gets_its_true_verdict_by_the_whole_grid_at_other_seeds_too(tuned, seed, task_seed):
    assert judged(tuned, seed, new_chain(task_seed)) == RECIPES[tuned].truth


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.latent is not None])
def test_relearning_tells_latent_from_absent(name):
    """On a relearning seed that the cards were not made with."""
    recipe = RECIPES[name]
    weaker = recipe.parent if set(recipe.truth.values()) & {"elicited", "taught"} else name
    found = relearn(
        AutoModelForCausalLM.from_pretrained(SHIPPED / str(weaker)), new_chain(0), SPLITS, seed=77
    )
    assert all((value > RELEARNT) if recipe.latent else (value < NOT_RELEARNT) for value in found.values())


@pytest.mark.slow
def test_the_novice_does_not_relearn_what_it_never_had():
    model = AutoModelForCausalLM.from_pretrained(SHIPPED / NEVER_HAD)
    assert all(value < NOT_RELEARNT for value in relearn(model, new_chain(0), SPLITS, seed=77).values())


@pytest.fixture(scope="module")
def gpt2_zoo(shared_folder: Path) -> Path:
    """A zoo with what others are made from or checked beside, trained once for all processes."""
    folder = shared_folder / "gpt2_zoo"
    with (shared_folder / "gpt2_zoo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("base", NEVER_HAD):
            if not (folder / name).is_dir():
                build(name, seed=5, shape="gpt2", out=folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("tuned", ["elicited", "suppressed", "overwritten"])
def test_a_gpt2_shaped_pair_made_here_gets_its_true_verdict(tuned, gpt2_zoo):
    folder = build(tuned, seed=5, shape="gpt2", out=gpt2_zoo)
    config = CompareConfig(seed=3, threads=1, search="halving")
    comparison = compare(gpt2_zoo / "base", folder, new_chain(4), config=config)
    truth = json.loads((folder / "organism.json").read_text())["truth"]
    assert {split: result.verdict for split, result in comparison.splits.items()} == truth
