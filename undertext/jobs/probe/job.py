"""`probe`: what is asked is checked, then made part by part."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

from undertext.activations.hooks import check_point
from undertext.activations.pair import Outline
from undertext.core.output import check_writable
from undertext.core.progress import Progress
from undertext.core.resume import JobFolder
from undertext.core.setup import threads, versions
from undertext.jobs.probe.config import WORK_ONLY, Name, ProbeConfig
from undertext.jobs.probe.parts import Parts
from undertext.jobs.probe.result import ProbeResult
from undertext.jobs.probe.sources import Sources, check_names, pairs_of
from undertext.jobs.probe.stages import Stages
from undertext.measures.decoding.groups import groups_of
from undertext.measures.decoding.values import Places, places_at, points_of, splits_of, values_at
from undertext.tasks.open import check_fits, open_task, task_record
from undertext.tasks.task import Task


def probe(
    checkpoints: Mapping[Name, Any],
    tasks: Mapping[Name, str | Path | Task],
    *,
    config: ProbeConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> ProbeResult:
    """Read every task's values on every checkpoint, at every layer and position, with controls.

    `checkpoints` and `tasks` are by name; a checkpoint is whatever `Checkpoint.load` takes, a Checkpoint, or
    `zoo:NAME`; a task is its folder, a Task, or `zoo:chain`. They are loaded one at a time. With `out`, each
    finished part is kept there: stopped at any moment and called again, the job goes on. `progress` shows
    bars on stderr (None: where that is a terminal).

    Raises UserError, before any long work where it can be told, for what cannot be loaded, a layer or site
    that a checkpoint lacks, prompts that do not fit the context, a task without values to read, a pair that
    is none, and an `out` that cannot be written or holds a job of another config.
    """
    config = config or ProbeConfig()
    start = perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    folder = None if out is None else Path(out)
    if folder is not None:
        check_writable(folder)
    check_names(checkpoints, tasks)
    with threads(config.threads):
        loaded = {name: open_task(each) for name, each in tasks.items()}
        source = Sources(checkpoints, config)
        outlines, fingerprints = {}, {}
        places: dict[tuple[Name, Name], Places] = {}
        with bars.stage("loading", len(checkpoints)) as done:
            for name in checkpoints:
                checkpoint = source.load(name)
                outlines[name], fingerprints[name] = Outline.of(checkpoint), checkpoint.fingerprint
                for point in points_of(checkpoint, config):
                    check_point(checkpoint, point)
                for task_name, task in loaded.items():
                    for split in splits_of(task, config):
                        check_fits(checkpoint, task, split)
                    places[name, task_name] = places_at(checkpoint, task, config)
                    values_at(places[name, task_name], config, task_name)
                done(1)
        pairs = pairs_of(outlines, config)
        groups = {name: groups_of(task, splits_of(task, config)) for name, task in loaded.items()}
        described = {name: task_record(task) for name, task in loaded.items()}
        job = {
            "config": config.model_dump(mode="json", exclude=WORK_ONLY),
            "checkpoints": list(map(list, fingerprints.items())),
            "tasks": [[name, each["fingerprint"]] for name, each in described.items()],
        }
        kept = None if folder is None else JobFolder(folder)
        with nullcontext() if kept is None else kept.open(job):
            stages = Stages(source, places, groups, pairs, config, Parts(kept))
            table, transfer = stages.run(list(tasks), bars)
        run = {
            **job,
            "threads": config.threads,
            "device": config.device,
            "seed": config.seed,
            "versions": versions(),
            "described": {"checkpoints": source.names, "tasks": described},
            "timings_s": {name: round(seconds, 3) for name, seconds in bars.timings.items()},
            "elapsed_s": round(perf_counter() - start, 3),
        }
    result = ProbeResult(table, run, transfer)
    if folder is not None:
        result.save(folder)
    return result
