"""`steer`: what vectors recover in one checkpoint, beside controls under the same search. No verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.pair import check_pair
from undertext.core.output import check_writable
from undertext.core.progress import Progress
from undertext.core.setup import checkpoint_record, layers_of, open_checkpoint, threads
from undertext.core.statistics import Estimate, proportion
from undertext.core.terms import FITTING
from undertext.jobs.compare.config import verdict_rule
from undertext.measures.answers import Answers, answers
from undertext.measures.recovery.candidates import candidate_vectors
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.estimate import RecoveryEstimate, recovered
from undertext.measures.recovery.feature_vectors import sae_of
from undertext.measures.recovery.rows import recovery_rows, schema_of, sweep_rows
from undertext.measures.recovery.search import recover, search, search_settings
from undertext.measures.recovery.side_effects import SideEffects, side_effects, side_text
from undertext.steering import SteeringVector
from undertext.tasks.load import load_task
from undertext.tasks.open import check_task_fits, splits_to_report, task_record
from undertext.tasks.task import Task

KEPT = "kept"
"""Folder below `out` in which the rows of the sweeps are kept, for a job that is killed and run again."""


@dataclass(frozen=True)
class Steered:
    """The answer of `undertext.steer`."""

    checkpoint: Mapping[str, Any]
    """What was steered: `name`, `fingerprint`, `n_layers`, `d_model`, `d_vocab`."""
    stronger: Mapping[str, Any] | None
    """The same of the checkpoint that the gap is to; None where none was given."""
    task: Mapping[str, Any]
    headline: str
    """The vector, or random direction, that did best on dev."""
    accuracy: Mapping[str, Mapping[str, Estimate]]
    """By split: lenient accuracy of `unsteered` and, where there is one, `stronger`."""
    splits: Mapping[str, Mapping[str, RecoveryEstimate]]
    """By split and vector, controls among them."""
    side_effects: Mapping[str, SideEffects | None]
    """By vector; None where no text was long enough for where it acts."""
    notes: Sequence[str]
    """What could not be made, and why."""
    run: Mapping[str, Any]
    """Config and timings."""
    tables: Mapping[str, pa.Table] = field(repr=False)
    """`sweep`: a row a setting, on dev. `recovery`: a row a split and vector."""

    def to_dict(self) -> dict[str, Any]:
        """steering.json as plain values."""
        whole = asdict(self)
        del whole["tables"], whole["run"]
        return whole

    def save(self, out: str | Path) -> Path:
        """Write steering.json, run.json, figures/ and tables/ under `out`, whole or not at all.

        Raises UserError when `out` cannot be written.
        """
        from undertext.jobs.steer.report import save

        return save(self, Path(out))

    def figure(self) -> Any:
        """Dose-response on dev, each kind of control as a band, as a matplotlib figure."""
        from undertext.jobs.steer.report import figure

        return figure(self)


def steer(
    checkpoint: Any,
    task: str | Path | Task,
    *,
    stronger: Any = None,
    vectors: Sequence[SteeringVector] = (),
    config: SearchConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> Steered:
    """What can be recovered in `checkpoint` on `task` with a vector, and no training?

    Settings are searched on `dev` and the chosen ones applied to the other splits, controls alike.
    `vectors` go through the search beside those that the task and the pair offer. Without a `stronger`
    checkpoint there is no gap, and differences in accuracy stand alone. With `out`, results are written
    there, rows as they come: a job that was killed goes on where it was when it is called again.

    Raises UserError as `compare` does, for vectors that do not fit or share a name, and for an `out` that
    keeps the rows of another job.
    """
    config = config or SearchConfig()
    start = perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    if out is not None:
        check_writable(Path(out))
    task = task if isinstance(task, Task) else load_task(task)
    splits = splits_to_report(task, config)
    level = verdict_rule().level
    with threads(config.threads):
        with bars.stage("loading"):
            weaker = open_checkpoint(checkpoint, config)
            above = None if stronger is None else open_checkpoint(stronger, config)
            if above is not None:
                check_pair(weaker, above)
        for split in dict.fromkeys([*FITTING, *splits]):
            for each in (weaker, above) if above is not None else (weaker,):
                check_task_fits(each, task, split)
        behaviour = {
            (split, name): _answers(each, name, task, split, config, bars)
            for split in splits
            for name, each in (("unsteered", weaker), ("stronger", above))
            if each is not None
        }
        with bars.stage("vectors"):
            offered = candidate_vectors(weaker, above, task, config, vectors, sae_of(config))
        layers = layers_of(weaker, config.layers, config.max_layers)
        problems = min(len(task.split("dev")), config.search_problems)
        with bars.stage("search", problems * len(search_settings(offered, layers, config))) as done:
            found = search(weaker, task, offered, layers, config, done, _kept(out, "dev"))
        text = side_text(weaker, task, config)
        with bars.stage("side effects"):
            effects = {
                name: side_effects(weaker, text, setting, offered.vectors, offered.thresholds)
                for name, setting in found.best.items()
            }
        rows, by_split = [], {}
        for split in splits:
            with bars.stage(f"steering on {split}", len(task.split(split)) * len(found.best)) as done:
                recovery = recover(weaker, task, split, found, config, done, _kept(out, split))
            pair = behaviour[split, "unsteered"], behaviour.get((split, "stronger"))
            by_split[split] = {
                name: recovered(recovery, name, *pair, seed=config.seed, level=level) for name in found.best
            }
            rows += recovery_rows(recovery, split, *pair, effects, seed=config.seed, level=level)
    tables = {"sweep": sweep_rows(found), "recovery": rows}
    steered = Steered(
        checkpoint=checkpoint_record(weaker),
        stronger=None if above is None else checkpoint_record(above),
        task=task_record(task),
        headline=found.headline,
        accuracy={
            split: {
                name: proportion(behaviour[split, name].lenient, level)
                for name in ("unsteered", "stronger")
                if (split, name) in behaviour
            }
            for split in splits
        },
        splits=by_split,
        side_effects=effects,
        notes=offered.notes,
        run={
            "config": config.model_dump(mode="json"),
            "timings_s": {name: round(seconds, 3) for name, seconds in bars.timings.items()},
            "elapsed_s": round(perf_counter() - start, 3),
        },
        tables={name: pa.Table.from_pylist(each, schema=schema_of(each)) for name, each in tables.items()},
    )
    if out is not None:
        steered.save(out)
    return steered


def _answers(
    checkpoint: Checkpoint, name: str, task: Task, split: str, config: SearchConfig, bars: Progress
) -> Answers:
    problems = task.split(split)
    with bars.stage(f"{name} on {split}", len(problems)) as done:
        return answers(checkpoint, task, problems, config, done)


def _kept(out: str | Path | None, split: str) -> Path | None:
    return None if out is None else Path(out) / KEPT / split
