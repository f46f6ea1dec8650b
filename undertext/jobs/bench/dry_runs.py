"""What building and judging a bench would take: `--dry-run` of both commands."""

import gc
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from undertext.activations.errors import UserError, shown
from undertext.core.dry_run import plans_of
from undertext.core.memory import forget_peak
from undertext.core.plan import Plan
from undertext.core.planner import make_plan
from undertext.core.progress import Progress
from undertext.core.setup import threads
from undertext.jobs.bench.config import BenchConfig, RunConfig
from undertext.jobs.bench.plan import read_plan
from undertext.jobs.bench.run import judge_and_keep, missing_pairs


class BenchPlans(NamedTuple):
    """The plans of a set."""

    plans: list[Plan]
    """One after another; those of pairs that are alike share their works."""
    smaller: Mapping[str, float]
    """By value of `--only`, its share of the time."""
    notes: list[str]
    done: int
    """How many organisms, or pairs, are there already and cost nothing."""


def judging_plans(config: RunConfig, bench: Path) -> BenchPlans:
    """What judging the pairs that were not judged yet would take, by our own judge.

    Pairs of one world and task are asked the same and are as large: the first is planned, and stands for the
    others. Raises UserError for another judge, whose reading nothing here knows, and as `run_bench`.
    """
    if config.judge is not None:
        raise UserError(
            f"--dry-run plans our own judge alone: what {shown(config.judge)} would read and write is not "
            "known"
        )
    pairs, missing = missing_pairs(config, bench)
    plans: list[Plan] = []
    first: dict[Path, Plan] = {}
    seconds: dict[str, float] = {}
    with Progress().stage("worlds", len({pair.task for pair in missing})) as done:
        for pair in missing:
            if pair.task not in first:
                (first[pair.task],) = plans_of(partial(judge_and_keep, pair), smaller=False)
                gc.collect()  # so that the checkpoints are gone before the next are loaded
                done(1)
            plan = first[pair.task].named(f"bench run, {pair.cases[0].world}, {pair.tuned.name}")
            family = pair.cases[0].family
            plans.append(plan)
            seconds[family] = seconds.get(family, 0.0) + plan.most_s
    beside = min(config.jobs, max(1, len(missing)))
    return BenchPlans(plans, _only(seconds), _notes(config, beside, "pairs"), len(pairs) - len(missing))


def building_plans(config: BenchConfig, out: Path) -> BenchPlans:
    """What training and checking the organisms that are missing below `out` would take.

    Each kind of training has a plan, since an update takes another time. Raises UserError for worlds that
    the plan of the bench does not have.
    """
    from undertext.activations.quiet import quiet
    from undertext.organisms.bench.build import WorldFolder
    from undertext.organisms.bench.works import WorldWorks

    plans: list[Plan] = []
    seconds: dict[str, float] = {}
    there = 0
    worlds = read_plan(config.plan).of(config.size, config.only)
    with Progress().stage("worlds", len(worlds)) as done, threads(1), quiet():
        for plan in worlds:
            forget_peak()  # of the world before
            works = WorldWorks(WorldFolder(plan.world, out / plan.world.name))
            names = [organism.name for organism in plan.tuned]
            there += sum(name not in works.missing(names)[0] for name in names)
            for kind, draft in works.drafts(names).items():
                made = make_plan(f"bench build, {plan.world.name}, {kind}", config, draft)
                plans.append(made)
                seconds[plan.family] = seconds.get(plan.family, 0.0) + made.most_s
            done(1)
    return BenchPlans(plans, _only(seconds), _notes(config, min(config.jobs, len(worlds)), "worlds"), there)


def _only(seconds: Mapping[str, float]) -> dict[str, float]:
    """By family, the share of the time of all; nothing where there is but one."""
    together = sum(seconds.values())
    if len(seconds) < 2 or not together:
        return {}
    return {
        f"only {name}": took / together for name, took in sorted(seconds.items(), key=lambda each: each[1])
    }


def _notes(config: BenchConfig, beside: int, what: str) -> list[str]:
    many = "as the cluster has CPUs" if config.engine == "ray" else f"as --jobs says ({beside})"
    notes = [
        f"so many {what} {many} are worked on side by side, on one CPU thread each; the time is that of one "
        "after another, and the memory that of one"
    ]
    if config.size == "standard":
        notes.append("smaller: --size quick has six organisms of two worlds")
    return notes
