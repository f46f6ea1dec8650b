"""Building the findings' organisms at toy size: every recipe runs, seeds repeat, one vector alone moves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from undertext.activations.errors import UserError
from undertext.organisms.findings import build as building
from undertext.organisms.findings import recipes
from undertext.organisms.findings.build import FindingsFolder, digest, load
from undertext.organisms.findings.vector import one_vector
from undertext.organisms.shapes import empty_model


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load(folder).state_dict()


def test_every_recipe_runs_and_is_found_again(toy, tmp_path):
    folder = FindingsFolder(tmp_path, 0)
    for name, recipe in toy.items():
        at = folder.ensure(name)
        card = json.loads((at / "organism.json").read_text())
        assert (card["name"], card["parent"], card["steps"]) == (name, recipe.parent, 2 * len(recipe.stages))
    before = {at: at.stat().st_mtime_ns for at in tmp_path.glob("*/model.safetensors")}
    assert len(before) == len(toy)
    for name in toy:
        folder.ensure(name)
    assert {at: at.stat().st_mtime_ns for at in before} == before


@pytest.mark.parametrize("name", ["chain_base", "rlvr", "steering_vector_rl"])
def test_a_seed_gives_the_same_weights_and_another_seed_others(toy, tmp_path, name):
    made = [
        weights(FindingsFolder(tmp_path / place, seed).ensure(name))
        for place, seed in (("one", 1), ("again", 1), ("two", 2))
    ]
    assert all(torch.equal(made[0][key], made[1][key]) for key in made[0])
    assert not all(torch.equal(made[0][key], made[2][key]) for key in made[0])


@pytest.mark.parametrize(("name", "alone"), [("steering_vector_rl", True), ("rlvr", False)])
def test_a_vector_alone_is_trained_or_all_weights(toy, tmp_path, monkeypatch, name, alone):
    monkeypatch.setattr(building, "rewards", lambda *_: torch.arange(16.0))
    folder = FindingsFolder(tmp_path, 0)
    base, tuned = weights(folder.ensure("chain_base")), weights(folder.ensure(name))
    moved = {
        key for key, each in tuned.items() if not torch.equal(each, base.get(key, torch.zeros_like(each)))
    }
    vector = {"model.layers.0.mlp.down_proj.bias"}
    assert moved == (vector if alone else set(base))


def test_a_vector_is_added_at_every_token():
    model = empty_model("llama", 0, d_model=16, layers=2, context=32)
    made = one_vector(model, 1)
    ids = torch.tensor([[1, 5, 6, 7]])
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str):
        return lambda module, args, output: seen.__setitem__(
            name, output[0] if isinstance(output, tuple) else output
        )

    model.model.layers[1].register_forward_hook(keep("plain"))
    made.model.layers[1].register_forward_hook(keep("moved"))
    torch.testing.assert_close(made(ids).logits, model(ids).logits)
    vector = torch.randn(16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.model.layers[1].mlp.down_proj.bias.copy_(vector)
    made(ids), model(ids)
    torch.testing.assert_close(seen["moved"] - seen["plain"], vector.expand(1, 4, 16))
    assert [name for name, each in made.named_parameters() if each.requires_grad] == [
        "model.layers.1.mlp.down_proj.bias"
    ]


def test_what_has_no_such_vector_is_refused():
    with pytest.raises(ValueError, match="Llama-shaped"):
        one_vector(empty_model("gpt2", 0, d_model=16, layers=2, context=32), 0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        one_vector(empty_model("llama", 0, d_model=16, layers=2, context=32), 2)


def test_another_recipe_is_built_anew(toy, tmp_path, monkeypatch):
    at = FindingsFolder(tmp_path, 0).ensure("types_base")
    before = weights(at)
    changed = replace(toy["types_base"], stages=(replace(toy["types_base"].stages[0], lr=1e-2),))
    was = digest("labels_only")
    monkeypatch.setitem(toy, "types_base", changed)
    assert digest("labels_only") != was  # it depends on its parent's
    after = weights(FindingsFolder(tmp_path, 0).ensure("types_base"))
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_mistakes_are_refused(toy, tmp_path):
    with pytest.raises(UserError, match="there are: chain_base"):
        FindingsFolder(tmp_path, 0).ensure("nothing")
    FindingsFolder(tmp_path, 0).ensure("types_base")
    with pytest.raises(UserError, match="is of seed 0; seed 1 is needed"):
        FindingsFolder(tmp_path, 1).ensure("types_base")
    (tmp_path / "shortcut").mkdir()
    with pytest.raises(UserError, match="expected an organism's folder"):
        FindingsFolder(tmp_path, 0).ensure("shortcut")


def test_parents_stand_before_children():
    known = list(recipes.FINDING_RECIPES)
    for name, recipe in recipes.FINDING_RECIPES.items():
        assert recipe.name == name
        assert recipe.parent is None or known.index(recipe.parent) < known.index(name)
