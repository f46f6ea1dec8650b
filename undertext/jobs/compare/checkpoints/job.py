"""`compare_checkpoints`: one base and several tuned checkpoints to a verdict each, and one table of all.

Each comparison is `compare`'s own, in a folder of its own; what depends on the base alone is made once.
"""

import gc
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from undertext.activations.errors import UserError, shown
from undertext.activations.paths import is_pattern
from undertext.core.job import job_run
from undertext.core.output import plain
from undertext.core.plan import Plan, Planned, planning
from undertext.core.progress import Progress
from undertext.core.result import Result
from undertext.core.shared import shared_in
from undertext.jobs.compare.checkpoints.result import SCHEMA, CheckpointComparisons, table_of
from undertext.jobs.compare.checkpoints.sources import by_name, said, step_of
from undertext.jobs.compare.config import CompareConfig, verdict_rule
from undertext.jobs.compare.job import compare
from undertext.jobs.compare.result import Comparison
from undertext.tasks.open import open_task, splits_to_report, task_record
from undertext.tasks.task import Task


def compare_given(base: str, tuned: tuple[str, ...], **given: Any) -> Result:
    """`compare` for one tuned checkpoint, `compare_checkpoints` for several or a pattern."""
    if len(tuned) == 1 and not is_pattern(tuned[0]):
        return compare(base, tuned[0], **given)
    return compare_checkpoints(base, tuned, **given)


def compare_checkpoints(
    base: Any,
    tuned: Sequence[str | Path] | Mapping[str, Any],
    task: str | Path | Task,
    *,
    config: CompareConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> CheckpointComparisons:
    """Compare each of several tuned checkpoints with one base, as `compare` does, one after another.

    `tuned` are folders and hub ids, patterns of folders (`run/checkpoint-*`) or of revisions
    (`owner/name@step*`), or a mapping from names to whatever `compare` takes. With `out`, the report of each
    comparison is in `out`/NAME, as `compare` alone writes it, and a call that was killed goes on: a
    comparison that is finished there is not made again. At most two checkpoints are in memory at a time.
    What depends on the base alone (its answers, its steered answers where it is the weaker) is made once; in
    a precision that is not exact, that may move figures as much as another `batch_size` does.

    A checkpoint that cannot be read or compared is among `failed`, and the others go on. Raises UserError
    where all fail, and as `compare` for the task, the config and `out`.
    """
    config = config or CompareConfig()
    sources, bars = by_name(tuned), Progress.of(progress)
    with ExitStack() as stack:
        run = stack.enter_context(job_run("compare checkpoints", config, out, bars))
        task = open_task(task)
        splits_to_report(task, config.splits)
        if planning.get():
            raise Planned(_plans(base, sources, task, config))
        record = task_record(task)
        run.begin(
            base=said(base),
            tuned={name: said(source) for name, source in sources.items()},
            task=record["fingerprint"],
            rule=verdict_rule().model_dump(mode="json"),
        )
        at, kept = run.out, run.scratch("shared")
        if at is None or kept is None:
            at = Path(stack.enter_context(TemporaryDirectory()))
            kept = at / "parts"
        rows: list[dict[str, Any]] = []
        failed: dict[str, dict[str, Any]] = {}
        bases: dict[str, dict[str, Any]] = {}
        for name, source in sources.items():
            own = Progress(bars.show or (None if bars.lines else False), f"{name}: ")
            try:
                with shared_in(kept), bars.stage(name):
                    found = compare(base, source, task, config=config, out=at / name, progress=own)
            except UserError as error:
                failed[name] = {"source": said(source), "step": step_of(name, source), "error": str(error)}
            else:
                rows += _rows(name, source, found)
                bases[found.summary["base"]["fingerprint"]] = dict(found.summary["base"])
            gc.collect()  # so that the checkpoints are gone before the next are loaded
        if not rows:
            errors = "; ".join(f"{name}: {each['error']}" for name, each in failed.items())
            if len({each["error"] for each in failed.values()}) == 1:
                errors = next(iter(failed.values()))["error"]
            raise UserError(f"no checkpoint could be compared: {shown(errors, 1000)}")
        if len(bases) > 1:
            raise UserError(
                f"the base {shown(said(base))} changed while checkpoints were compared with it: compare "
                "again, into another folder"
            )
        (base_record,) = bases.values()
        return run.finish(
            CheckpointComparisons,
            {
                "schema": SCHEMA,
                "base": base_record,
                "task": record,
                "seed": config.seed,
                "rows": rows,
                "failed": failed,
            },
            {"checkpoints": table_of(rows, failed)},
        )


def _plans(base: Any, sources: Mapping[str, Any], task: Task, config: CompareConfig) -> list[Plan]:
    """The plan of each comparison; UserError where none can be planned."""
    plans: list[Plan] = []
    failed: dict[str, UserError] = {}
    for name, source in sources.items():
        try:
            compare(base, source, task, config=config)
        except Planned as planned:
            shared = "what depends on the base alone is read and written for the first comparison only"
            named = replace(planned.plans[0], job=f"compare, {name}")
            plans.append(replace(named, notes=[*named.notes, *([shared] if plans else [])]))
        except UserError as error:
            failed[name] = error
        gc.collect()  # so that the checkpoints are gone before the next are loaded
    if not plans:
        raise UserError(f"no comparison can be planned: {next(iter(failed.values()))}")
    lost = [f"{name} cannot be compared: {error}" for name, error in failed.items()]
    return [*plans[:-1], replace(plans[-1], notes=[*plans[-1].notes, *lost])]


def _rows(name: str, source: Any, found: Comparison) -> list[dict[str, Any]]:
    """A `CheckpointSplit` a split, as plain values."""
    return [
        {
            "checkpoint": name,
            "source": said(source),
            "step": step_of(name, source),
            "split": split,
            "verdict": result.verdict,
            "confidence": result.confidence,
            "stability": result.stability,
            "weaker": result.weaker,
            "accuracy": {key: plain(asdict(each)) for key, each in result.accuracy.items()},
            "unfinished": dict(result.unfinished),
            "lines": {
                line.name: {"says": line.says, "share": plain(asdict(line.share))} for line in result.evidence
            },
            "flags": len(result.flags),
        }
        for split, result in found.splits.items()
    ]
