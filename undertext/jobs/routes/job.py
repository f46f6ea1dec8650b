"""`routes`: ways to elicit what a checkpoint may hold, on the same problems, within the same tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool
from numpy import ndarray

from undertext.core.job import job_run
from undertext.core.output import plain
from undertext.core.progress import Progress
from undertext.core.setup import checkpoint_record, layers_of, noted, open_pair
from undertext.core.statistics import Estimate, bootstrap, only, proportion
from undertext.core.terms import OTHER
from undertext.jobs.routes.config import RoutesConfig
from undertext.jobs.routes.groups import Outcome, RouteGroup, RouteParts, steered_group
from undertext.jobs.routes.result import Route, RoutesResult
from undertext.jobs.routes.works import routes_draft
from undertext.measures.recovery.estimate import recovered_gap
from undertext.measures.recovery.parts import SteeringParts, sae_of
from undertext.measures.recovery.rows import schema_of, three
from undertext.steering import SteeringVector, open_vector
from undertext.tasks.draws import check_prompts
from undertext.tasks.open import check_task_fits, open_task, splits_to_report, task_record, texts_of
from undertext.tasks.prompts import ask
from undertext.tasks.task import Task

_NO_BASELINE = (
    "training by reward was left out: the samples of a problem are each other's baseline, and a budget of 1 "
    "has none"
)


def routes(
    checkpoint: Any,
    stronger: Any,
    task: str | Path | Task,
    *,
    vectors: Sequence[SteeringVector | str | Path] = (),
    config: RoutesConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> RoutesResult:
    """How much of the gap each route recovers, and whether the routes recover the same problems.

    The routes: steering with the best vector that knows the weaker checkpoint alone, beside the best random
    direction; with the best of the `vectors` given; with the best feature of an SAE where the config names
    one, beside the best random feature; decoding; a prompt; and, as references that are training, a fitted
    bias, vectors trained by the grader's reward, and a copy whose weights are all trained so. All steering
    goes through one search. No route writes more than `budget` outputs of `max_new_tokens` a problem. The
    checkpoints stay as they are.

    With `out`, results are written there, finished parts as they come: a job that was killed and is called
    again goes on from them. Raises UserError as `steer`.
    """
    config = config or RoutesConfig()
    with job_run("routes", config, out, progress) as run:
        task = open_task(task, config, writes="routes")
        splits = splits_to_report(task, config.splits)
        with run.bars.stage("loading"):
            pair = open_pair(checkpoint, stronger, config, texts_of(task))
            given = [open_vector(source, pair.base) for source in vectors]
            sae = sae_of(config)
        shared = check_prompts(task, splits)
        asked = ask(task, pair, (config.asked_as, OTHER[config.asked_as]), config.seed)
        (weaker, above), (task, theirs) = asked.checkpoints, asked.tasks
        for each, own in zip(asked.checkpoints, asked.tasks, strict=True):
            check_task_fits([each], own, splits)
        layers = layers_of(weaker, config.layers, config.max_layers)
        steering = SteeringParts(weaker, above, task, config, layers, given, sae, theirs, run.scratch)
        parts = RouteParts(weaker, above, task, theirs, config, layers)
        run.plan(lambda: routes_draft(parts, steering, config, [*pair.notes, *asked.notes]))
        run.begin(
            checkpoint=weaker.fingerprint,
            stronger=above.fingerprint,
            task=task_record(task)["fingerprint"],
            **steering.inputs,
        )

        unaided = run.make([parts.unaided(split) for split in splits])
        (candidates,) = run.make([steering.candidates()])
        (searched,) = run.make([steering.search(candidates)])
        groups: dict[str, list[RouteGroup]] = {}
        for split in splits:
            (steered,) = run.make([steering.recover(searched, split)])
            names = [vector.name for vector in given]
            groups[split] = [steered_group(searched, steered, names), *run.make(parts.untrained(split))]
        for training in parts.training():  # one after the other: a trained copy of the weights is large
            (trained,) = run.make([training])
            made = run.make([parts.trained(split, training.key, trained) for split in splits])
            for split, group in zip(splits, made, strict=True):
                groups[split].append(group)

        by_split = {
            split: _estimated(groups[split], ends, config.seed)
            for split, ends in zip(splits, unaided, strict=True)
        }
        notes = [note for split in splits for group in groups[split] for note in group.notes]
        if config.rlvr_steps and config.budget < 2:
            notes.append(_NO_BASELINE)
        notes += [*shared, *asked.notes]
        agreement = [row for split in splits for row in _agreement_rows(split, groups[split])]
        summary = {
            "checkpoint": checkpoint_record(weaker),
            "stronger": checkpoint_record(above),
            "task": task_record(task),
            "unaided": {
                split: {
                    each.name: asdict(proportion(each.right, clusters=each.clusters))
                    for each in ends.outcomes
                }
                for split, ends in zip(splits, unaided, strict=True)
            },
            "splits": {split: [asdict(route) for route in listed] for split, listed in by_split.items()},
            "agreement": _nested(agreement),
            "notes": list(dict.fromkeys(notes)),
        }
        rows = {"routes": _rows(by_split), "agreement": agreement}
        tables = {name: pa.Table.from_pylist(each, schema=schema_of(each)) for name, each in rows.items()}
        return run.finish(RoutesResult, plain(summary), tables, **noted(pair.notes))


def kappa(a: Bool[ndarray, " problem"], b: Bool[ndarray, " problem"]) -> float:
    """Cohen's kappa of which problems are right (Cohen 1960); NaN where chance alone agrees on all."""
    agree = float((a == b).mean())
    chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return float("nan") if chance == 1 else (agree - chance) / (1 - chance)


def _estimated(groups: Sequence[RouteGroup], ends: RouteGroup, seed: int) -> list[Route]:
    low, high = (each.right for each in ends.outcomes)
    return [
        Route(
            each.name,
            each.kind,
            each.kind == "training",
            each.access,
            each.tokens,
            each.training_tokens,
            _accuracy(each, seed),
            recovered_gap(each.right, low, high, seed=seed, clusters=each.clusters),
            each.unfinished,
        )
        for group in groups
        for each in group.outcomes
    ]


def _accuracy(outcome: Outcome, seed: int) -> Estimate:
    if set(np.unique(outcome.right)) <= {0.0, 1.0}:
        return proportion(outcome.right, clusters=outcome.clusters)
    return bootstrap(only, outcome.right[:, None], seed=seed, clusters=outcome.clusters)


def _rows(by_split: Mapping[str, Sequence[Route]]) -> list[dict[str, Any]]:
    return [
        {
            "split": split,
            "route": route.name,
            "kind": route.kind,
            "training": route.training,
            "access": route.access,
            "tokens": route.tokens,
            "training_tokens": route.training_tokens,
            **three("accuracy", route.accuracy),
            **three("recovered", route.gap),
            "unfinished": route.unfinished,
        }
        for split, listed in by_split.items()
        for route in listed
    ]


def _agreement_rows(split: str, groups: Sequence[RouteGroup]) -> list[dict[str, Any]]:
    right = {each.name: each.right >= 0.5 for group in groups for each in group.outcomes}
    return [
        {
            "split": split,
            "route": one,
            "other": other,
            "kappa": kappa(right[one], right[other]),
            "alike": float((right[one] == right[other]).mean()),
        }
        for one, other in product(right, repeat=2)
    ]


def _nested(agreement: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Kappa by split, route and other route."""
    nested: dict[str, dict[str, dict[str, float]]] = {}
    for row in agreement:
        nested.setdefault(row["split"], {}).setdefault(row["route"], {})[row["other"]] = row["kappa"]
    return nested
