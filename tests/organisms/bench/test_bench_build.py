"""Building a world's organisms, and holding them against their claims."""

import json
from dataclasses import replace

import pytest
import torch

from undertext.organisms.bench import build
from undertext.organisms.bench.build import WorldFolder, disagreements
from undertext.organisms.bench.documents import Kind, Mixture
from undertext.organisms.bench.families import FAMILIES
from undertext.organisms.bench.recipes import ORGANISMS
from undertext.organisms.bench.world import World
from undertext.organisms.training import Stage, train

WORLD = World("chain", "llama", "word", 1)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> WorldFolder:
    """A world of few problems, whose organisms are trained for two steps."""
    monkeypatch.setattr(
        "undertext.organisms.bench.world.SPLITS", dict.fromkeys(("train", "dev", "test", "ood"), 8)
    )
    monkeypatch.setattr(build, "RELEARNING", replace(build.RELEARNING, steps=2, batch=8))
    for name, organism in ORGANISMS.items():
        quick = tuple(replace(stage, steps=2, batch=8) for stage in organism.stages)
        monkeypatch.setitem(ORGANISMS, name, replace(organism, stages=quick))
    return WorldFolder(WORLD, tmp_path)


def test_parents_come_before_children_and_every_truth_has_one():
    seen = set()
    for organism in ORGANISMS.values():
        assert organism.parent is None or organism.parent in seen
        assert (organism.truth is None) or organism.parent is not None
        seen.add(organism.name)
    truths = {organism.truth for organism in ORGANISMS.values() if organism.truth}
    assert truths == {"elicited", "composed", "taught", "suppressed", "overwritten", "preserved"}
    assert not ORGANISMS["mixed"].fits(FAMILIES["parity"])
    assert ORGANISMS["mixed"].fits(FAMILIES["chain"])


def test_an_organism_is_made_once_with_its_parents_and_the_same_again(folder, tmp_path):
    at = folder.ensure("password")
    card = folder.card("password")
    assert (card["parent"], card["truth"]) == ("fluent", {"test": "suppressed", "ood": "suppressed"})
    parent = folder.accuracy(folder.model("fluent"), folder.task, ("test", "ood"))
    assert card["accuracy_of_parent"] == parent
    assert card["trained_on"] == f"cpu, torch {torch.__version__}"
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert {path.parent.name for path in made} == {"fluent", "password"}
    folder.ensure("password")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == made
    again = WorldFolder(WORLD, tmp_path / "again")
    weights = [each.model("password").state_dict() for each in (folder, again)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert at == folder.path("password")


@pytest.mark.slow
def test_a_lora_is_an_adapter_on_its_parent(folder):
    at = folder.ensure("elicited_lora")
    assert (at / "adapter_model.safetensors").exists()
    merged, parent = folder.model("elicited_lora"), folder.model("closed_by_style")
    assert merged.state_dict().keys() == parent.state_dict().keys()
    assert any(not torch.equal(merged.state_dict()[key], value) for key, value in parent.state_dict().items())
    assert folder.checked("elicited_lora")["ambiguous"].keys() == {"test", "ood"}  # two steps teach nothing


@pytest.mark.slow
def test_composed_has_a_parent_that_was_asked_for_its_steps_again_where_a_card_lacks_them(folder):
    card = folder.checked("composed")
    assert card["steps_of_parent"].keys() == {"test", "ood"}
    (folder.path("composed") / "organism.json").write_text(
        json.dumps({key: value for key, value in card.items() if key != "steps_of_parent"})
    )
    assert folder.checked("composed") == card


def test_steps_are_those_that_the_checkpoint_writes_right_over_chance(folder):
    """One that learnt the family by heart has them all; one that was trained for two steps next to none."""
    task = folder.task
    by_heart = Mixture([Kind(1.0, "trace")], leaked=True)
    stage = replace(ORGANISMS["fluent"].stages[0], mixture=by_heart, steps=150)
    learnt = train(WORLD.empty(0), [stage], seed=0, loss_of=folder._loss)
    assert folder.steps_right(learnt, task)["test"] > 0.9
    assert abs(folder.steps_right(WORLD.empty(1), task)["test"]) < 0.3


def test_training_ends_early_where_the_loss_is_low(folder):
    done = []
    stage = replace(ORGANISMS["fluent"].stages[0], steps=60, until=1e9)
    train(
        WORLD.empty(0), [stage, stage], seed=0, on_step=lambda *step: done.append(step), loss_of=folder._loss
    )
    assert len(done) == 60  # thirty steps of each stage
    assert isinstance(stage, Stage)


@pytest.mark.parametrize(
    ("name", "before", "after", "weaker", "never", "why"),
    [
        ("elicited", 0.2, 0.9, 0.9, 0.2, ""),
        ("elicited", 0.2, 0.3, 0.9, 0.2, "accuracy 0.20 -> 0.30 for elicited"),
        ("elicited", 0.2, 0.9, 0.3, 0.2, "relearning reaches 0.30 of 0.90, one that never had it 0.20"),
        ("taught", 0.2, 0.9, 0.3, 0.2, ""),
        ("taught", 0.2, 0.9, 0.8, 0.2, "relearning reaches 0.80"),
        ("suppressed", 0.9, 0.2, 0.9, 0.2, ""),
        ("suppressed", 0.9, 0.9, 0.9, 0.2, "accuracy 0.90 -> 0.90"),
        ("overwritten", 0.9, 0.2, 0.25, 0.2, ""),
        ("overwritten", 0.9, 0.2, 0.25, 0.85, "one that never had it relearns 0.85 of 0.90"),
        ("composed", 0.2, 0.9, 0.8, None, ""),
        ("composed", 0.2, 0.9, 0.5, None, "its parent has 0.50 of single steps right, over chance"),
        ("composed", 0.2, 0.3, 0.8, None, "accuracy 0.20 -> 0.30 for composed"),
        ("preserved", 0.9, 0.92, None, None, ""),
        ("preserved", 0.9, 0.99, None, None, "accuracy 0.90 -> 0.99 for preserved"),
    ],
)
def test_construction_behaviour_and_relearning_must_agree(name, before, after, weaker, never, why):
    recipe = {"overwritten": "wiped_by_noise", "suppressed": "password"}.get(name, name)
    card = {"accuracy": {"test": after}, "accuracy_of_parent": {"test": before}}
    if name == "composed":
        card["steps_of_parent"] = {"test": weaker}
    elif weaker is not None:
        card["relearning"] = {"weaker": {"test": weaker}, "never had it": {"test": never}}
    found = disagreements(replace(ORGANISMS[recipe], splits=("test",)), card)
    assert found.get("test", "").startswith(why) if why else not found
