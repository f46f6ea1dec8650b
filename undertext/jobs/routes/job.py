"""`routes`: ways to elicit what a checkpoint may hold, on the same problems, within the same tokens."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from undertext.activations.pair import check_pair
from undertext.core.output import check_writable
from undertext.core.progress import Progress
from undertext.core.resume import JobFolder
from undertext.core.setup import checkpoint_record, layers_of, open_checkpoint, threads, versions
from undertext.core.terms import FITTING
from undertext.jobs.compare.config import verdict_rule
from undertext.jobs.routes.config import RoutesConfig
from undertext.jobs.routes.groups import RouteGroups
from undertext.jobs.routes.kept import KeptGroups, RouteGroup, vectors_digest, weights_digest
from undertext.jobs.routes.result import Routes, gathered
from undertext.measures.recovery.feature_vectors import sae_of
from undertext.steering import SteeringVector
from undertext.tasks.load import load_task
from undertext.tasks.open import check_task_fits, splits_to_report, task_record
from undertext.tasks.task import Task

WORK_ONLY = {"batch_size"}
"""Settings that change how the work is done, and no figure: a job goes on under others."""


def routes(
    checkpoint: Any,
    stronger: Any,
    task: str | Path | Task,
    *,
    vectors: Sequence[SteeringVector] = (),
    config: RoutesConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> Routes:
    """How much of the gap each route recovers, and whether they recover the same problems.

    Steering with the best vector that knows the weaker checkpoint only, beside the best random direction;
    with the best of the `vectors` given; with the best feature of an SAE where the config names one, beside
    the best random feature; decoding; a prompt;
    and, as references that are training, a fitted bias, vectors trained by the grader's reward, and a copy
    of all weights so trained. All steering goes through one search. No route writes more than `budget` rows
    of `max_new_tokens` a problem; how much it does write, `Outcome.tokens` says, and what it was trained
    on `Outcome.training_tokens`. The checkpoints stay as they are.

    With `out`, results are written there, each group of routes on each split as soon as it is whole: a job
    that was killed goes on where it was when it is called again. Raises UserError as `steer`.
    """
    config = config or RoutesConfig()
    start = perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    folder = None if out is None else Path(out)
    if folder is not None:
        check_writable(folder)
    task = task if isinstance(task, Task) else load_task(task)
    splits, level = splits_to_report(task, config), verdict_rule().level
    with threads(config.threads):
        with bars.stage("loading"):
            pair = check_pair(open_checkpoint(checkpoint, config), open_checkpoint(stronger, config))
        for split in dict.fromkeys([*FITTING, *splits]):
            for each in pair:
                check_task_fits(each, task, split)
        layers = layers_of(pair.base, config.layers, config.max_layers)
        sae = sae_of(config)
        ways = RouteGroups(pair, task, config, layers, vectors, sae, bars, _sweeps(folder))
        job = {
            "config": config.model_dump(mode="json", exclude=WORK_ONLY),
            "checkpoint": pair.base.fingerprint,
            "stronger": pair.tuned.fingerprint,
            "task": task_record(task)["fingerprint"],
            "vectors": vectors_digest(vectors),
            "sae": None if sae is None else weights_digest(sae.state_dict()),
        }
        parts = None if folder is None else JobFolder(folder)
        with nullcontext() if parts is None else parts.open(job):
            groups = _all(ways.by_name(), splits, KeptGroups(parts))
    run = {
        **job,
        "checkpoint_record": {
            "checkpoint": checkpoint_record(pair.base),
            "stronger": checkpoint_record(pair.tuned),
            "task": task_record(task),
        },
        "versions": versions(),
        "timings_s": {name: round(seconds, 3) for name, seconds in bars.timings.items()},
        "elapsed_s": round(perf_counter() - start, 3),
    }
    whole = gathered(groups, splits, seed=config.seed, level=level, run=run)
    if folder is not None:
        whole.save(folder)
    return whole


def _sweeps(out: Path | None) -> Callable[[str], Path | None]:
    """Where the rows of the sweep on a split are kept."""
    return lambda split: None if out is None else JobFolder(out).path("sweep") / split


def _all(
    ways: Mapping[str, Callable[[str], RouteGroup]], splits: Sequence[str], kept: KeptGroups
) -> dict[tuple[str, str], RouteGroup]:
    """Every group on every split, those that are kept read. What one group has made serves all its splits."""
    groups = {}
    for (name, way), split in product(ways.items(), splits):
        group = kept.read(split, name)
        if group is None:
            group = way(split)
            kept.keep(split, name, group)
        groups[name, split] = group
    return groups
