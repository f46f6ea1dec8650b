"""Building the bench's organisms, and holding each against its claim."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from undertext.activations.errors import UserError, shown
from undertext.activations.placement import parse_device
from undertext.core.job import job_run
from undertext.core.resume import Done, Part
from undertext.core.setup import threads
from undertext.core.shipped import CARD
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

    A world's folder holds its organisms and its tasks. Raises UserError for worlds that the plan does not
    have, for a device that is not here, and where machines of a cluster have built in a folder that is not
    this one.
    """
    plans = read_plan(config.plan).of(config.size, config.only)
    parse_device(config.device)
    worlds = [_World(plan, out / plan.world.name) for plan in plans]
    parts = [Part(world.at.name, partial(_build, world, config.device), stage="worlds") for world in worlds]
    with threads(1), job_run("bench build", config, None, None) as run:
        run.make(parts)
    return {world.at.name: _cases(world) for world in worlds}


def _cases(world: _World) -> list[Case]:
    try:
        return [
            case
            for organism in world.plan.tuned
            for case in read_cases(world.plan, organism, world.at.parent)[0]
        ]
    except UserError as error:
        raise UserError(f"{error}; machines of a cluster must all reach the folder") from error


def _build(world: _World, device: str, _done: Done) -> None:
    from undertext.activations.quiet import quiet
    from undertext.organisms.bench.build import TASK, TYPED, WorldFolder

    folder = WorldFolder(world.plan.world, world.at, device)
    with threads(1), quiet():
        for name, types in ((TASK, ()), (TYPED, folder.world.family.types)):
            if (types or name == TASK) and not (world.at / name).exists():
                write_task(folder.typed if types else folder.task, world.at / name)
        for organism in world.plan.tuned:
            folder.checked(organism.name)


def read_cases(plan: WorldPlan, organism: Organism, bench: Path) -> tuple[list[Case], str]:
    """The cases of a pair that was built below `bench`, a split each, and which recipe the tuned organism was
    made by. UserError where its card is missing."""
    card = bench / plan.world.name / organism.name / CARD
    try:
        made = json.loads(card.read_text(encoding="utf-8"))
        return cases_of(plan, organism, made), made["recipe"]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{shown(card)} is missing or half made: `undertext bench build --out {shown(bench)}` makes what "
            "is missing"
        ) from error


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
