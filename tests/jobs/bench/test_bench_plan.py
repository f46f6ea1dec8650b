"""The bench's plan: what the one that comes with the package holds, and which plans are refused."""

from collections import Counter

import pytest

from undertext.activations.errors import UserError
from undertext.core.shipped import config_file
from undertext.jobs.bench.case import PARTS
from undertext.jobs.bench.plan import BenchPlan, WorldPlan, read_plan
from undertext.organisms.bench.families import FAMILIES
from undertext.organisms.bench.recipes import ORGANISMS

TRUTHS = {"elicited", "taught", "suppressed", "overwritten", "composed", "preserved"}
EVERYWHERE = {"elicited", "taught", "password", "wiped_by_noise", "preserved"}
JUDGED = {organism.name for organism in ORGANISMS.values() if organism.judged}


@pytest.fixture(scope="module")
def plan() -> BenchPlan:
    return read_plan()


def test_there_are_enough_cases_of_every_truth_and_each_is_in_both_parts(plan):
    cases = Counter(
        (world.part, organism.truth)
        for world in plan.of("standard")
        for organism in world.tuned
        for _ in organism.splits
        if organism.truth
    )
    assert cases.total() >= 220, "200 must be left where ground truth disagrees on some"
    assert {truth for _, truth in cases} == TRUTHS
    for truth in TRUTHS:
        assert sum(cases[part, truth] for part in PARTS) >= 22
        assert min(cases[part, truth] for part in PARTS) >= 10


def test_every_recipe_is_in_two_worlds_and_in_both_parts_where_it_fits(plan):
    worlds = plan.of("standard")
    assert {name for world in worlds for name in world.organisms} == JUDGED
    for name in JUDGED:
        having = [world for world in worlds if name in world.organisms]
        fitting = [world for world in worlds if ORGANISMS[name].fits(world.world.family)]
        assert len(having) >= 2, name
        assert {world.part for world in having} == {world.part for world in fitting}, name
    assert all(set(world.organisms) >= EVERYWHERE for world in worlds)
    # The steps of logic begin with their values: none can be learnt by itself.
    assert {world.family for world in worlds if "composed" not in world.organisms} == {"logic"}


def test_parts_share_no_family_shape_or_seed_and_all_kinds_of_world_are_there(plan):
    worlds = plan.of("standard")
    for what in ("family", "shape", "seed"):
        tuning, held_out = ({getattr(w, what) for w in worlds if w.part == part} for part in PARTS)
        assert tuning
        assert held_out
        assert not tuning & held_out
    assert {world.family for world in worlds} == set(FAMILIES)
    assert {world.shape for world in worlds} == {"llama", "gpt2", "qwen3", "gpt_neox"}
    assert len({world.seed for world in worlds}) == len(worlds) >= 5
    for part in PARTS:
        own = [world for world in worlds if world.part == part]
        assert {world.tokens for world in own} == {"word", "char", "bpe"}
    assert {(world.d_model, world.layers) for world in worlds} == {(64, 4), (96, 5)}


def test_the_quick_set_has_its_six_in_a_world_of_each_part(plan):
    quick = plan.of("quick")
    assert {world.part for world in quick} == set(PARTS)
    for world in quick:
        assert set(world.organisms) == set(plan.quick)
        assert [organism.name for organism in world.tuned] == [n for n in ORGANISMS if n in plan.quick]
    assert len(plan.quick) == 6


def test_what_is_left_of_a_set_is_named(plan):
    assert [w.world.name for w in plan.of("standard", ("parity",))] == ["parity-gpt_neox-word-43"]
    assert [w.world.name for w in plan.of("quick", ("swaps",))] == ["swaps-qwen3-bpe-41"]
    with pytest.raises(UserError, match=r"expected families or worlds of the set \(chain, .* got \['parity'"):
        plan.of("quick", ("parity",))


@pytest.mark.parametrize("name", ["bench_first.yaml", "bench_second.yaml", "bench_third.yaml"])
def test_earlier_plans_are_still_plans_and_share_no_held_out_world_with_todays(name, plan):
    earlier = read_plan(config_file(name))
    held_out = [
        {world.world.name for world in each.worlds if world.part == "held out"} for each in (earlier, plan)
    ]
    assert all(held_out)
    assert not set.intersection(*held_out)
    tuning = [
        {world.world.name for world in each.worlds if world.part == "tuning"} for each in (earlier, plan)
    ]
    assert tuning[0] <= tuning[1]


def world(**changed: object) -> dict[str, object]:
    plain = {"family": "chain", "shape": "llama", "tokens": "word", "seed": 1, "part": "tuning"}
    return {**plain, "organisms": ["taught"], **changed}


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"organisms": []}, "organisms"),
        ({"organisms": ["teached"]}, r"expected organisms \(elicited, .*\), got teached"),
        ({"organisms": ["fluent", "taught"]}, r"expected organisms \(elicited, .*\), got fluent"),
        ({"organisms": ["taught", "mixed", "taught"]}, "expected each organism once, got taught again"),
        (
            {"family": "parity", "organisms": ["taught", "mixed"]},
            "expected organisms for which parity has the wordings or types, got mixed",
        ),
        (
            {"family": "leg_counting", "organisms": ["elicited_by_wording"]},
            "expected organisms for which leg_counting has the wordings or types, got elicited_by_wording",
        ),
        ({"family": "chess"}, "expected a family"),
    ],
)
def test_a_world_that_cannot_be_is_refused(changed, fault):
    with pytest.raises(ValueError, match=fault):
        WorldPlan.model_validate(world(**changed), strict=False)


@pytest.mark.parametrize(
    ("worlds", "fault"),
    [
        ([world(), world()], "expected each world once, got chain-llama-word-1 again"),
        (
            [world(), world(part="held out", shape="gpt2", seed=2)],
            "expected no family in both parts, got chain",
        ),
        (
            [world(), world(part="held out", family="graph", seed=2)],
            "expected no shape in both parts, got llama",
        ),
        (
            [world(), world(part="held out", family="graph", shape="gpt2")],
            "expected no seed in both parts, got 1",
        ),
        (
            [world(quick=True, organisms=["leaked"])],
            "expected organisms of the quick set in chain-llama-word-1, got none",
        ),
    ],
)
def test_worlds_that_cannot_be_together_are_refused(worlds, fault):
    with pytest.raises(ValueError, match=fault):
        BenchPlan.model_validate({"quick": ["taught"], "worlds": worlds}, strict=False)


def test_a_quick_set_of_what_is_not_judged_is_refused():
    with pytest.raises(ValueError, match="got novice"):
        BenchPlan.model_validate({"quick": ["novice"], "worlds": [world()]}, strict=False)
