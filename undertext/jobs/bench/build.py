"""Building the bench's organisms, and holding each against its claim."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from undertext.core.setup import threads
from undertext.core.side_by_side import side_by_side
from undertext.jobs.bench.case import MIXTURE, Case
from undertext.jobs.bench.config import BenchConfig
from undertext.jobs.bench.plan import WorldPlan, read_plan
from undertext.organisms.bench.recipes import Organism
from undertext.tasks.write import write_task


class _World(NamedTuple):
    plan: WorldPlan
    at: Path


def build_bench(config: BenchConfig, out: Path) -> dict[str, list[Case]]:
    """Build what is missing of a set below `out`, and return the cases of each world.

    A world's folder holds its organisms and its tasks. Raises UserError for worlds that the plan
    does not have.
    """
    plans = read_plan(config.plan).of(config.size, config.only)
    worlds = [_World(plan, out / plan.world.name) for plan in plans]
    made = dict(side_by_side(_build, worlds, min(config.jobs, len(worlds)), "worlds"))
    return {world.at.name: made[world.at.name] for world in worlds}


def _build(world: _World) -> tuple[str, list[Case]]:
    from undertext.activations.quiet import quiet
    from undertext.organisms.bench.build import TASK, TYPED, WorldFolder

    folder = WorldFolder(world.plan.world, world.at)
    with threads(1), quiet():
        for name, types in ((TASK, ()), (TYPED, folder.world.family.types)):
            if (types or name == TASK) and not (world.at / name).exists():
                write_task(folder.typed if types else folder.task, world.at / name)
        cases = [
            case
            for organism in world.plan.tuned
            for case in cases_of(world.plan, organism, folder.checked(organism.name))
        ]
    return world.at.name, cases


def cases_of(plan: WorldPlan, organism: Organism, card: Mapping[str, Any]) -> list[Case]:
    """The cases of a pair, a split each, from the tuned organism's card."""
    world = plan.world
    return [
        Case(
            world=world.name,
            family=world.family_name,
            shape=world.shape,
            tokenizer=world.tokens,
            seed=world.seed,
            part=plan.part,
            organism=organism.name,
            base=str(organism.parent),
            split=split,
            truth=organism.truth or "undetermined",
            share=organism.share,
            ambiguous=card["ambiguous"].get(split, "" if organism.truth else MIXTURE),
        )
        for split in organism.splits
    ]
