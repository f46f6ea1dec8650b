"""`probe`: every checkpoint on every task, part by part."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import permutations
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.hooks import check_point
from activations.pair import Outline, check_outlines
from undertext.job_folder import JobFolder
from undertext.probing.config import WORK_ONLY, Name, ProbeConfig
from undertext.probing.measuring import read_own, read_transported
from undertext.probing.parts import Parts
from undertext.probing.result import ProbeResult
from undertext.probing.rows import table_of
from undertext.probing.values import Places, places_at, points_of, splits_of, values_at
from undertext.progress import Progress
from undertext.report.publish import check_writable
from undertext.runs import check_fits, task_described, threads, versions
from undertext.sources import loaded_task, resolve_checkpoint
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
    _check_names(checkpoints, tasks)
    with threads(config.threads):
        loaded = {name: loaded_task(each) for name, each in tasks.items()}
        source = _Sources(checkpoints, config)
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
        pairs = _pairs(outlines, config)
        described = {name: task_described(task) for name, task in loaded.items()}
        job = {
            "config": config.model_dump(mode="json", exclude=WORK_ONLY),
            "checkpoints": list(map(list, fingerprints.items())),
            "tasks": [[name, each["fingerprint"]] for name, each in described.items()],
        }
        kept = None if folder is None else JobFolder(folder)
        with nullcontext() if kept is None else kept.open(job):
            parts = Parts(kept)
            table = _measure(source, places, list(tasks), pairs, config, parts, bars)
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
    result = ProbeResult(table, run)
    if folder is not None:
        result.save(folder)
    return result


def _measure(
    source: "_Sources",
    places: Mapping[tuple[Name, Name], Places],
    tasks: Sequence[Name],
    pairs: list[tuple[Name, Name]],
    config: ProbeConfig,
    parts: Parts,
    bars: Progress,
) -> pa.Table:
    """Make what parts are missing; all of them as one table, in the order of the job."""
    keys = []
    with bars.stage("probing", len(source.given) * len(tasks)) as done:
        for name in source.given:
            for task_name in tasks:
                key = f"{task_name}/{name}"
                keys.append(key)
                if parts.table(key) is None:
                    rows, fitted = read_own(
                        source.load(name), places[name, task_name], config, (name, task_name)
                    )
                    parts.keep(key, table_of(rows), fitted)
                done(1)
    with bars.stage("transporting", len(pairs) * len(tasks)) as done:
        for read_on in source.given:
            for fitted_on in (a for a, b in pairs if b == read_on):
                for task_name in tasks:
                    key = f"{task_name}/{fitted_on}/{read_on}"
                    keys.append(key)
                    if parts.table(key) is None:
                        fitted = parts.fitted(f"{task_name}/{fitted_on}")
                        names = (read_on, fitted_on, task_name)
                        rows = read_transported(
                            source.load(read_on), fitted, places[read_on, task_name], config, names
                        )
                        parts.keep(key, table_of(rows))
                    done(1)
    return pa.concat_tables([parts.table(key) for key in keys])


class _Sources:
    """Loads checkpoints by name, and holds on to the last one."""

    def __init__(self, given: Mapping[Name, Any], config: ProbeConfig) -> None:
        self.given, self._device = given, config.device
        self.names: dict[str, str] = {}
        """What each was loaded from, by name."""
        self._last: tuple[str, Checkpoint] | None = None

    def load(self, name: str) -> Checkpoint:
        if self._last is None or self._last[0] != name:
            given = self.given[name]
            self._last = None  # before the next is loaded, so that two never share the memory
            if not isinstance(given, Checkpoint):
                given = resolve_checkpoint(given) if isinstance(given, str) else given
                given = Checkpoint.load(given, device=self._device)
            self._last = (name, given)
            self.names[name] = given.name
        return self._last[1]


def _check_names(checkpoints: Mapping[Name, Any], tasks: Mapping[Name, Any]) -> None:
    for what, given in (("checkpoint", checkpoints), ("task", tasks)):
        if not given:
            raise UserError(f"expected a {what} or more, by name, got none")
        for name in given:
            try:
                TypeAdapter(Name).validate_python(name)
            except ValidationError:
                raise UserError(
                    f"a {what}'s name is 1 to 64 letters, digits, - and _, got {name!r}"
                ) from None


def _pairs(outlines: Mapping[Name, Outline], config: ProbeConfig) -> list[tuple[Name, Name]]:
    """Pairs (fitted on, read on)."""
    if config.transport is None:
        return [pair for pair in permutations(outlines, 2) if _alike(*(outlines[name] for name in pair))]
    for pair in config.transport:
        for name in pair:
            if name not in outlines:
                raise UserError(f"transport names checkpoint {name!r}; there are: {', '.join(outlines)}")
        if pair[0] == pair[1]:
            raise UserError(f"transport is from one checkpoint to another, got {pair[0]!r} twice")
        check_outlines(*(outlines[name] for name in pair))
    return list(dict.fromkeys(config.transport))


def _alike(one: Outline, other: Outline) -> bool:
    try:
        check_outlines(one, other)
    except UserError:
        return False
    return True
