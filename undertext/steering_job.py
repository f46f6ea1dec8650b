"""`steer`: what vectors recover in one checkpoint, beside controls under the same search. No verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa

from activations.checkpoint import Checkpoint
from activations.pair import check_pair
from steering import SteeringVector
from undertext.config import SteerConfig, verdict_rule
from undertext.evidence.behaviour import Behaviour, answers
from undertext.evidence.recovered import Recovered, recovered
from undertext.evidence.recovery import recover, search, search_settings
from undertext.evidence.side_effects import SideEffects, side_effects, side_text
from undertext.evidence.vectors import offered_vectors
from undertext.preparing import FITTING, check_task_fits, described, loaded, sae_of, splits_of
from undertext.progress import Progress
from undertext.report.publish import check_writable
from undertext.runs import layers_of, task_described, threads
from undertext.statistics import Estimate, proportion
from undertext.tables import recovery_rows, schema_of, sweep_rows
from undertext.tasks.load import load_task
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
    splits: Mapping[str, Mapping[str, Recovered]]
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
        from undertext.report.steered import save

        return save(self, Path(out))

    def figure(self) -> Any:
        """Dose-response on dev, each kind of control as a band, as a matplotlib figure."""
        from undertext.report.steered import figure

        return figure(self)


def steer(
    checkpoint: Any,
    task: str | Path | Task,
    *,
    stronger: Any = None,
    vectors: Sequence[SteeringVector] = (),
    config: SteerConfig | None = None,
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
    config = config or SteerConfig()
    start = perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    if out is not None:
        check_writable(Path(out))
    task = task if isinstance(task, Task) else load_task(task)
    splits = splits_of(task, config)
    level = verdict_rule().level
    with threads(config.threads):
        with bars.stage("loading"):
            weaker = loaded(checkpoint, config)
            above = None if stronger is None else loaded(stronger, config)
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
            offered = offered_vectors(weaker, above, task, config, vectors, sae_of(config))
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
        checkpoint=described(weaker),
        stronger=None if above is None else described(above),
        task=task_described(task),
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
    checkpoint: Checkpoint, name: str, task: Task, split: str, config: SteerConfig, bars: Progress
) -> Behaviour:
    problems = task.split(split)
    with bars.stage(f"{name} on {split}", len(problems)) as done:
        return answers(checkpoint, task, problems, config, done)


def _kept(out: str | Path | None, split: str) -> Path | None:
    return None if out is None else Path(out) / KEPT / split
