"""The pairs of a zoo, each compared in a process of its own."""

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from undertext.activations.errors import UserError
from undertext.core.dry_run import plans_of
from undertext.core.job import job_run
from undertext.core.plan import Plan
from undertext.core.resume import Done, Part
from undertext.core.setup import threads
from undertext.core.shipped import SHIPPED, organisms
from undertext.core.statistics import Estimate
from undertext.core.terms import OTHER, Verdict
from undertext.jobs.demo.config import DemoConfig
from undertext.organisms.folder import read_card

if TYPE_CHECKING:  # what a help text need not wait for
    from undertext.jobs.compare.result import Comparison
    from undertext.report.figures.opened import OpenedPair


class Judged(NamedTuple):
    """The verdict on a pair, on one split."""

    pair: str
    """Name of the tuned organism."""
    split: str
    truth: Verdict
    verdict: Verdict
    confidence: float
    recovered: Estimate | None
    """Recovered gap of the best vector; None without a gap."""
    opened: "OpenedPair | None"
    """Accuracies of the pair with that vector and without; None without a gap."""


class _Pair(NamedTuple):
    base: Path
    tuned: Path
    out: Path
    seed: int
    overwrite: bool


def demo(config: DemoConfig, out: Path) -> list[Judged]:
    """Compare every pair of organisms, with a report of each in `out`, and return the verdicts.

    Raises UserError where the zoo holds no pair, and as `compare`.
    """
    parents, pairs = _pairs(config, out)
    parts = [Part(pair.tuned.name, partial(_compare, pair), stage="pairs") for pair in pairs]
    with threads(1), job_run("demo", config, None, None) as run:
        compared = run.make(parts)
    return sorted(
        (judged for of_pair in compared for judged in of_pair),
        key=lambda judged: list(parents).index(judged.pair),
    )


def demo_plans(config: DemoConfig) -> list[Plan]:
    """What comparing each pair would take, one after another; nothing is run, and nothing is written.

    Pairs of one shape are asked the same and are as large: the first of them is planned, and stands for the
    others. Raises UserError as `demo`.
    """
    plans: dict[tuple[str, str], Plan] = {}
    made = []
    for pair in _pairs(config, Path())[1]:
        shapes = (read_card(pair.base)["shape"], read_card(pair.tuned)["shape"])
        if shapes not in plans:
            # Other settings of a comparison are none that the demo takes.
            (plans[shapes],) = plans_of(partial(_compare, pair), smaller=False)
            gc.collect()  # so that the checkpoints are gone before the next are loaded
        made.append(plans[shapes].named(f"demo, {pair.tuned.name}"))
    return made


def _pairs(config: DemoConfig, out: Path) -> tuple[dict[str, str | None], list[_Pair]]:
    """The parent of each organism, by name, and the pairs. UserError where there are none."""
    zoo = SHIPPED if config.zoo is None else config.zoo
    folders = organisms(zoo)
    parents = {name: read_card(folder)["parent"] for name, folder in folders.items()}
    pairs = [
        _Pair(folders[parent], folders[name], out / name, config.seed, config.overwrite)
        for name, parent in parents.items()
        if parent in folders
    ]
    if not pairs:
        raise UserError(f"expected pairs of organisms in {zoo}, got none")
    return parents, pairs


def _compare(pair: _Pair, _done: Done | None = None) -> list[Judged]:
    from undertext.jobs.compare.config import CompareConfig
    from undertext.jobs.compare.job import compare
    from undertext.tasks.builtin.chain import new_chain

    truth: dict[str, Any] = read_card(pair.tuned)["truth"]
    config = CompareConfig(seed=pair.seed, threads=1, overwrite=pair.overwrite)
    comparison = compare(pair.base, pair.tuned, new_chain(0), config=config, out=pair.out, progress=False)
    judged = []
    for split, result in comparison.splits.items():
        line = result.line("recovered")
        recovered = None if line is None else line.estimate
        opened = _opened(pair.tuned.name, comparison, split)
        judged.append(
            Judged(pair.tuned.name, split, truth[split], result.verdict, result.confidence, recovered, opened)
        )
    return judged


def _opened(name: str, comparison: "Comparison", split: str) -> "OpenedPair | None":
    from undertext.report.figures.opened import OpenedPair

    found = comparison.splits[split]
    if found.weaker == "neither":
        return None
    rows = comparison.tables["recovery"].to_pylist() if "recovery" in comparison.tables else []
    best = [row["accuracy"] for row in rows if row["split"] == split and row["best_vector"]]
    alone, stronger = found.accuracy[found.weaker].value, found.accuracy[OTHER[found.weaker]].value
    return OpenedPair(name, found.weaker, alone, best[0], stronger, found.verdict) if best else None
