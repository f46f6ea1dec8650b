"""Building organisms: what is written is whole, and only when the truth was seen to hold."""

import dataclasses

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from undertext.activations.errors import UserError
from undertext.core.progress import Progress
from undertext.core.shipped import organisms
from undertext.organisms import build, relearning
from undertext.organisms.folder import read_card
from undertext.organisms.recipes import RECIPES
from undertext.tasks import new_chain


@pytest.fixture
def hasty(monkeypatch):
    """Every recipe cut to two steps a stage, far too few for any to show its truth, on a small task."""
    monkeypatch.setattr(relearning, "STEPS", 1)
    monkeypatch.setattr(build, "new_chain", lambda seed: new_chain(seed, train=40, dev=10, test=60, ood=20))
    for name, recipe in list(RECIPES.items()):
        stages = [dataclasses.replace(stage, steps=2, batch=8) for stage in recipe.stages]
        monkeypatch.setitem(RECIPES, name, dataclasses.replace(recipe, stages=stages))


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_a_base_is_an_ordinary_folder_with_a_card(hasty, tmp_path, shape):
    bars = Progress(False)
    folder = build.build("novice", seed=3, shape=shape, out=tmp_path, bars=bars)
    assert folder == tmp_path / "novice"
    assert list(tmp_path.iterdir()) == [folder]
    card = read_card(folder)
    assert (card["seed"], card["shape"], card["parent"]) == (3, shape, None)
    assert set(card["checks"]["accuracy"]) == {"test", "ood"}
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == shape
    assert len(AutoTokenizer.from_pretrained(folder)("a = 3 ;")["input_ids"]) == 5
    assert list(bars.timings) == ["training novice"]


@pytest.mark.slow
def test_an_organism_that_does_not_show_its_truth_is_not_written(hasty, tmp_path):
    with pytest.raises(UserError, match="does not show its ground truth: accuracy on test"):
        build.build("taught", seed=0, out=tmp_path)
    assert set(organisms(tmp_path)) == {"novice"}
    assert [path.name for path in tmp_path.iterdir()] == ["novice"]


def test_a_parent_of_another_seed_is_not_taken(hasty, tmp_path):
    build.build("novice", seed=0, out=tmp_path)
    with pytest.raises(
        UserError, match="is of seed 0, llama-shaped; a parent of seed 1, gpt2-shaped is needed"
    ):
        build.build("taught", seed=1, shape="gpt2", out=tmp_path)


def test_what_is_in_the_way_is_left_alone(hasty, tmp_path):
    (tmp_path / "novice").mkdir()
    (tmp_path / "novice" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="no organism"):
        build.build("novice", seed=0, out=tmp_path)
    assert (tmp_path / "novice" / "thesis.txt").read_text() == "mine"


def test_the_same_seed_gives_the_same_weights(hasty, tmp_path):
    a, b, c = (
        build.build("novice", seed=seed, out=tmp_path / name) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    weights = [(folder / "model.safetensors").read_bytes() for folder in (a, b, c)]
    assert weights[0] == weights[1] != weights[2]


def test_gpt2_shaped_checkpoints_learn_from_nothing_by_a_stage_of_their_own():
    for recipe in RECIPES.values():
        assert recipe.of("llama") == dataclasses.replace(recipe, stages=tuple(recipe.stages))
        for stage, other in zip(recipe.stages, recipe.of("gpt2").stages, strict=True):
            assert (stage == other) == (stage.steps < 1000)
            assert stage.mixture == other.mixture
