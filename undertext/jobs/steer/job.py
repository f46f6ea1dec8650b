"""`steer`: what vectors recover in one checkpoint, beside controls under the same search. No verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from undertext.activations.checkpoint import Checkpoint
from undertext.core.job import job_run
from undertext.core.output import plain
from undertext.core.plan import Draft, Work, room_of
from undertext.core.progress import Progress
from undertext.core.resume import Done, Part
from undertext.core.setup import checkpoint_record, layers_of, noted, open_checkpoint, open_pair
from undertext.core.statistics import proportion
from undertext.core.terms import OTHER
from undertext.jobs.steer.config import SteerConfig
from undertext.jobs.steer.export import check_export, export
from undertext.jobs.steer.result import SteerResult
from undertext.measures.answers import Answers, greedy
from undertext.measures.recovery.estimate import RecoveryEstimate, estimate_recovery
from undertext.measures.recovery.parts import SteeringParts, sae_of
from undertext.measures.recovery.rows import recovery_row, schema_of, sweep_rows
from undertext.measures.recovery.works import less_steering, steering_works
from undertext.steering import SteeringVector, open_vector
from undertext.tasks.draws import check_prompts
from undertext.tasks.open import check_task_fits, open_task, splits_to_report, task_record, texts_of
from undertext.tasks.prompts import ask
from undertext.tasks.task import Task
from undertext.tasks.work import answering, trial_of


def steer(
    checkpoint: Any,
    task: str | Path | Task,
    *,
    stronger: Any = None,
    vectors: Sequence[SteeringVector | str | Path] = (),
    config: SteerConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> SteerResult:
    """What can be recovered in `checkpoint` on `task` with a vector, and no training?

    Settings are searched on `dev` and the chosen ones applied to the other splits, controls alike. `vectors`
    (in memory, or files of `save_vector` or of llama.cpp) go through the search beside those that the task
    and the pair offer. Without a `stronger` checkpoint there is no gap, and differences in accuracy stand
    alone. With `out`, results are written there, finished parts as they come: a job that was killed and is
    called again goes on from them.

    Raises UserError for a checkpoint, task or vector that cannot be opened, for checkpoints that are not of
    one model, for vectors that do not fit or share a name, and for an `out` with unfinished parts of another
    job.
    """
    config = config or SteerConfig()
    with job_run("steer", config, out, progress) as run:
        if config.export is not None:
            check_export(config.export, run.out)
        task = open_task(task, config)
        splits = splits_to_report(task, config.splits)
        with run.bars.stage("loading"):
            if stronger is None:
                weaker = open_checkpoint(checkpoint, device=config.device, dtype=config.dtype)
                opened, about = {"unsteered": weaker}, noted(weaker.notes)
            else:
                both = open_pair(checkpoint, stronger, config, texts_of(task))
                opened, about = dict(zip(("unsteered", "stronger"), both, strict=True)), noted(both.notes)
            weaker, above = opened["unsteered"], opened.get("stronger")
            given = [open_vector(source, weaker) for source in vectors]
            sae = sae_of(config)
        shared = check_prompts(task, splits)
        roles = (config.asked_as, OTHER[config.asked_as])[: len(opened)]
        asked = ask(task, list(opened.values()), roles, config.seed)
        opened = dict(zip(opened, asked.checkpoints, strict=True))
        tasks = dict(zip(opened, asked.tasks, strict=True))
        weaker, above, task = opened["unsteered"], opened.get("stronger"), tasks["unsteered"]
        for name, checkpoint in opened.items():
            check_task_fits([checkpoint], tasks[name], splits)
        layers = layers_of(weaker, config.layers, config.max_layers)
        steering = SteeringParts(
            weaker, above, task, config, layers, given, sae, tasks.get("stronger"), run.scratch
        )
        run.plan(lambda: _draft(steering, opened, tasks, config, asked.notes))
        run.begin(
            checkpoint=weaker.fingerprint,
            stronger=None if above is None else above.fingerprint,
            task=task_record(task)["fingerprint"],
            **steering.inputs,
        )

        keys = [(split, name) for split in splits for name in opened]
        made = run.make([_answers(opened[name], name, tasks[name], split, config) for split, name in keys])
        answers: dict[tuple[str, str], Answers] = dict(zip(keys, made, strict=True))
        (candidates,) = run.make([steering.candidates()])
        (searched,) = run.make([steering.search(candidates)])
        (effects,) = run.make([steering.side_effects(searched)])
        steered = run.make([steering.recover(searched, split) for split in splits])

        estimates: dict[str, dict[str, RecoveryEstimate]] = {}
        rows: list[dict[str, Any]] = []
        for split, by_vector in zip(splits, steered, strict=True):
            pair = answers[split, "unsteered"], answers.get((split, "stronger"))
            estimates[split] = {
                name: estimate_recovery(searched, by_vector, name, *pair, seed=config.seed)
                for name in searched.best
            }
            rows += [
                recovery_row(
                    split,
                    estimate,
                    effects[name],
                    best_vector=name == searched.best_vector,
                    strongest=name == searched.strongest,
                )
                for name, estimate in estimates[split].items()
            ]
        notes = [*candidates.notes, *shared, *asked.notes]
        if config.export is not None and run.out is not None:
            notes.append(export(config.export, searched, weaker, run.out))
        summary = {
            "checkpoint": checkpoint_record(weaker),
            "stronger": None if above is None else checkpoint_record(above),
            "task": task_record(task),
            "best_vector": searched.best_vector,
            "strongest": searched.strongest,
            "accuracy": {
                split: {
                    name: asdict(proportion(each.lenient, clusters=each.clusters))
                    for name in opened
                    for each in [answers[split, name]]
                }
                for split in splits
            },
            "splits": {
                split: {name: asdict(estimate) for name, estimate in by_vector.items()}
                for split, by_vector in estimates.items()
            },
            "side_effects": {
                name: None if effect is None else asdict(effect) for name, effect in effects.items()
            },
            "notes": notes,
        }
        return run.finish(
            SteerResult, plain(summary), _tables({"sweep": sweep_rows(searched), "recovery": rows}), **about
        )


def _answers(checkpoint: Checkpoint, name: str, task: Task, split: str, config: SteerConfig) -> Part:
    problems = task.split(split)

    def make(done: Done) -> Answers:
        return greedy(checkpoint, task, problems, batch_size=config.batch_size, progress=done)

    return Part(f"answers/{split}/{name}", make, len(problems), f"{name} on {split}")


def _draft(
    steering: SteeringParts,
    opened: Mapping[str, Checkpoint],
    tasks: Mapping[str, Task],
    config: SteerConfig,
    notes: Sequence[str],
) -> Draft:
    """The job before it begins."""
    weaker, task = steering.weaker, steering.task

    def works(config: SteerConfig) -> list[Work]:
        splits = splits_to_report(task, config.splits)
        answers = [
            answering(f"{name} on {split}", checkpoint, tasks[name], tasks[name].split(split))
            for split in splits
            for name, checkpoint in opened.items()
        ]
        layers = layers_of(weaker, config.layers, config.max_layers)
        return answers + steering_works(replace(steering, config=config, layers=layers), splits)

    splits = splits_to_report(task, config.splits)
    judged = [problem for split in splits for problem in task.split(split)]
    trial = trial_of(weaker, task, judged, config.seed, config.batch_size)
    less = less_steering(steering, splits)
    return Draft(works, trial, list(opened.values()), less, room_of(works(config)), notes)


def _tables(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, pa.Table]:
    return {name: pa.Table.from_pylist(list(each), schema=schema_of(each)) for name, each in rows.items()}
