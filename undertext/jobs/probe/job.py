"""`probe`: values read on many checkpoints, layers and positions, beside controls."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hooks import check_point
from undertext.core.job import job_run
from undertext.core.plan import Draft, Work
from undertext.core.progress import Progress
from undertext.core.resume import Done, Part
from undertext.core.setup import noted
from undertext.core.terms import FIT, Role
from undertext.jobs.probe.config import Name, ProbeConfig
from undertext.jobs.probe.inputs import BASE, Sources, check_names, pairs_of
from undertext.jobs.probe.result import ProbeResult
from undertext.jobs.probe.summary import best_readings, transported_readings
from undertext.measures.decoding.across import read_across
from undertext.measures.decoding.groups import Groups, groups_of
from undertext.measures.decoding.positions import Gathered, Located
from undertext.measures.decoding.table import PROBES, FittedProbes, read_own, read_transported, table_of
from undertext.measures.decoding.transfer import TRANSFER
from undertext.measures.decoding.values import locate, points_of, splits_to_read, values_of
from undertext.measures.decoding.within import read_within
from undertext.measures.decoding.works import located_work
from undertext.tasks.draws import prompt_warnings
from undertext.tasks.open import check_fits, open_task, task_record, texts_of
from undertext.tasks.prompts import ask
from undertext.tasks.task import Task
from undertext.tasks.work import trial_of


def probe(
    checkpoints: Mapping[Name, Any],
    tasks: Mapping[Name, str | Path | Task],
    *,
    config: ProbeConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> ProbeResult:
    """Read every task's values on every checkpoint, at every layer and position, beside controls.

    `checkpoints` and `tasks` are by name. A checkpoint is a Checkpoint, whatever `Checkpoint.load` takes, or
    `zoo:NAME`; a task is its folder, a Task, or `zoo:chain`. Checkpoints are opened one at a time. With
    `out`, finished parts are cached there: a job that was stopped at any moment and is called again goes on.
    `progress` shows bars on stderr (None: where that is a terminal).

    Raises UserError, before any long work, for what cannot be loaded, a layer or site that a checkpoint
    lacks, prompts that do not fit the context, a task without values to read, a pair of checkpoints that are
    not of one model, and an `out` that cannot be written or holds an unfinished job of another config.
    """
    config = config or ProbeConfig()
    with job_run("probe", config, out, progress) as run:
        check_names(checkpoints, tasks)
        opened = {name: open_task(source, config, writes="probe") for name, source in tasks.items()}
        splits = {name: splits_to_read(task, config.splits) for name, task in opened.items()}
        notes = [
            f"{name}: {warning}" for name in opened for warning in prompt_warnings(opened[name], splits[name])
        ]
        sources = Sources(checkpoints, config)
        located: dict[tuple[Name, Name], Located] = {}
        with run.bars.stage("loading", len(checkpoints)) as done:
            for name in checkpoints:
                checkpoint = sources.open(name)
                for task_name, task in opened.items():
                    located[name, task_name], counts = _checked(
                        checkpoint, name, task, task_name, splits[task_name], config
                    )
                    notes += [
                        f"{task_name}: {value} has many values and is read in {n} groups by size"
                        for value, n in counts.items()
                    ]
                done(1)
        texts = set().union(*map(texts_of, opened.values()))
        pairs, differ = pairs_of(sources.outlines, config.transport, texts)
        moves = [(a, b) for read in checkpoints for a, b in pairs if b == read]
        run.plan(lambda: _draft(sources, located, opened, list(checkpoints), moves, config))
        records = {name: task_record(task) for name, task in opened.items()}
        run.begin(
            checkpoints=[[name, sources.records[name]["fingerprint"]] for name in checkpoints],
            tasks=[[name, record["fingerprint"]] for name, record in records.items()],
        )
        groups = {name: groups_of(task, splits[name]) for name, task in opened.items()}
        work = _Work(sources, located, groups, config)

        places = [(name, task) for name in checkpoints for task in opened]
        values = {place: len(values_of(located[place], config, place[1])) for place in places}
        own = run.make(
            [
                Part(f"own/{task}/{name}", partial(work.own, name, task), values[name, task], "probing")
                for name, task in places
            ]
        )
        fitted = {place: probes for place, (_, probes) in zip(places, own, strict=True)}
        routes = [(a, b, task) for a, b in moves for task in opened]
        transported = run.make(
            [
                Part(
                    f"transported/{task}/{a}/{b}",
                    partial(work.transported, a, b, task, fitted[a, task]),
                    stage="transporting",
                )
                for a, b, task in routes
            ]
        )
        within = run.make(
            [
                Part(
                    f"within/{task}/{name}",
                    partial(work.within, name, task, fitted[name, task]),
                    stage="transferring",
                )
                for name, task in (places if config.transfer else [])
            ]
        )
        across = run.make(
            [
                Part(
                    f"across/{task}/{a}/{b}",
                    partial(work.across, a, b, task, fitted[a, task], fitted[b, task]),
                    stage="aligning",
                )
                for a, b, task in (routes if "checkpoint" in config.transfer else [])
            ]
        )

        probes = pa.concat_tables([PROBES.empty_table(), *(table for table, _ in own), *transported])
        transfer = pa.concat_tables([TRANSFER.empty_table(), *within, *across])
        summary = {
            "checkpoints": sources.records,
            "tasks": records,
            "readings": best_readings(probes),
            "transported": transported_readings(probes),
            "notes": list(dict.fromkeys(notes)),
        }
        tables = {"probes": probes, "transfer": transfer}
        return run.finish(ProbeResult, summary, tables, **noted([*sources.notes, *differ]))


def _checked(
    checkpoint: Checkpoint, of: Name, task: Task, name: Name, splits: Sequence[str], config: ProbeConfig
) -> tuple[Located, dict[str, int]]:
    """As `locate`, of the task as this checkpoint reads it; UserError for what could not be read later."""
    role: Role = "base" if of == BASE else "tuned"
    (checkpoint,), (task,), _ = ask(task, [checkpoint], [role], config.seed)
    for point in points_of(checkpoint, config):
        check_point(checkpoint, point)
    for split in splits:
        check_fits(checkpoint, task, split)
    located, groups = locate(checkpoint, task, splits, config)
    values_of(located, config, name)
    return located, groups


def _draft(
    sources: Sources,
    located: Mapping[tuple[Name, Name], Located],
    tasks: Mapping[Name, Task],
    names: Sequence[Name],
    moves: Sequence[tuple[Name, Name]],
    config: ProbeConfig,
) -> Draft:
    """The job before it begins."""

    def works(config: ProbeConfig) -> list[Work]:
        def of(stage: str, name: Name, task: Name, times: int) -> Work:
            width = int(sources.records[name]["d_model"])
            splits = splits_to_read(tasks[task], config.splits)
            count = layers[name] if config.layers is None else len(set(config.layers))
            return located_work(stage, located[name, task], splits, times, count, width)

        controlled = 2 if "random_init" in config.controls else 1
        stages = [of("probing", name, task, controlled) for name in names for task in tasks]
        stages += [of("transporting", b, task, 1) for _, b in moves for task in tasks]
        if config.transfer:
            stages += [of("transferring", name, task, 1) for name in names for task in tasks]
        if "checkpoint" in config.transfer:
            stages += [of("aligning", b, task, 2) for _, b in moves for task in tasks]
        together: dict[str, Work] = {}
        for work in stages:
            together[work.stage] = together[work.stage].and_also(work) if work.stage in together else work
        return list(together.values())

    layers = {
        name: min(int(record["n_layers"]), config.max_layers) for name, record in sources.records.items()
    }
    sizes = {name: each["n_layers"] * each["d_model"] ** 2 for name, each in sources.records.items()}
    largest = sources.open(max(names, key=lambda name: sizes[name]))
    less: list[dict[str, Any]] = []
    if "random_init" in config.controls:
        less.append({"controls": tuple(each for each in config.controls if each != "random_init")})
    if config.transfer:
        less.append({"transfer": ()})
    some = list(tasks.values())
    splits = [split for split in some[0].splits if split != FIT]
    if len(splits) > 2 and config.splits is None:
        less.append({"splits": tuple(splits[:2])})
    task = some[0]
    trial = trial_of(largest, task, task.problems, config.seed, config.batch_size)
    copies = int("random_init" in config.controls and not largest.weights.make_room)
    notes = ["rates and weights are those of the largest checkpoint: one is opened at a time"]
    return Draft(works, trial, [largest], less, notes=notes, copies=copies)


class _Work(NamedTuple):
    """What parts are made of."""

    sources: Sources
    located: Mapping[tuple[Name, Name], Located]
    groups: Mapping[Name, Groups]
    config: ProbeConfig

    def own(self, name: Name, task: Name, done: Done) -> tuple[pa.Table, FittedProbes]:
        """A checkpoint's own probes, beside controls."""
        located = self.located[name, task]
        rows, fitted = read_own(self.sources.open(name), located, self.config, (name, task), done)
        return table_of(rows, PROBES), fitted

    def transported(
        self, fitted_on: Name, read_on: Name, task: Name, fitted: FittedProbes, done: Done
    ) -> pa.Table:
        """One checkpoint's probes, unchanged, on another."""
        located, names = self.located[read_on, task], (read_on, fitted_on, task)
        rows = read_transported(self.sources.open(read_on), fitted, located, self.config, names)
        return table_of(rows, PROBES)

    def within(self, name: Name, task: Name, fitted: FittedProbes, done: Done) -> pa.Table:
        """Transfer across layers, positions, lengths and types of one checkpoint."""
        checkpoint, located = self.sources.open(name), self.located[name, task]
        rows = read_within(checkpoint, fitted, located, self.groups[task], self.config, (name, task))
        return table_of(rows, TRANSFER)

    def across(
        self,
        fitted_on: Name,
        read_on: Name,
        task: Name,
        fitted: FittedProbes,
        own: FittedProbes,
        done: Done,
    ) -> pa.Table:
        """Transfer from one checkpoint to another, after alignments too."""
        located, names = self.located[read_on, task], (read_on, fitted_on, task)
        points = points_of(self.sources.open(fitted_on), self.config)
        source = Gathered.of_splits(self.sources.open(fitted_on), located, points)
        target = Gathered.of_splits(self.sources.open(read_on), located, points)
        layers = [point.layer for point in points]
        rows = read_across(target, source, own, fitted, located, self.config, layers, names)
        return table_of(rows, TRANSFER)
