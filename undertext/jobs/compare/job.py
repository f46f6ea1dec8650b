"""`compare`: two checkpoints and a task to a verdict a split."""

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.pair import check_pair
from undertext.core.output import check_writable
from undertext.core.progress import Progress
from undertext.core.setup import checkpoint_record, layers_of, open_checkpoint, threads, versions
from undertext.core.terms import FITTING
from undertext.jobs.compare.config import CompareConfig, Rule, verdict_rule
from undertext.jobs.compare.evidence import EvidenceCollector, SplitEvidence
from undertext.jobs.compare.judging import judge
from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.tables import tables_of
from undertext.measures.answers import Answers, answers
from undertext.tasks.load import load_task
from undertext.tasks.open import check_task_fits, splits_to_report, task_record
from undertext.tasks.task import Task


def compare(
    base: Any,
    tuned: Any,
    task: str | Path | Task,
    *,
    config: CompareConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> Comparison:
    """Was the capability that tells `base` from `tuned` on `task` already latent in the weaker of the two?

    `base` and `tuned` are whatever `Checkpoint.load` takes, or Checkpoints; `task` is a task's folder or
    a Task. With `out`, the report is written there. `progress` shows bars on stderr (None: where that
    is a terminal). The same inputs, config, machine and versions give the same verdict.

    Raises UserError, before any long work where it can be told, for checkpoints that cannot be read or
    are no pair, a task that does not validate, a split it lacks, prompts that do not fit the context,
    NaN in the activations, and an `out` that cannot be written.
    """
    config = config or CompareConfig()
    rule = verdict_rule()
    start = perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    if out is not None:
        check_writable(Path(out))
    task = task if isinstance(task, Task) else load_task(task)
    splits = splits_to_report(task, config)
    with threads(config.threads):
        with bars.stage("loading"):
            pair = check_pair(*(open_checkpoint(each, config) for each in (base, tuned)))
        layers = layers_of(pair.base, config.layers, config.max_layers)
        for split in dict.fromkeys([*FITTING, *splits]):
            for checkpoint in pair:
                check_task_fits(checkpoint, task, split)
        behaviour = {}
        for split in splits:
            for role, checkpoint in zip(("base", "tuned"), pair, strict=True):
                problems = task.split(split)
                with bars.stage(f"{role} on {split}", len(problems)) as done:
                    behaviour[split, role] = answers(checkpoint, task, problems, config, done)
        latencies = {
            weaker: EvidenceCollector(
                *((pair.base, pair.tuned) if weaker == "base" else (pair.tuned, pair.base)),
                weaker=weaker, task=task, splits=splits, layers=layers, config=config, rule=rule, bars=bars,
            )
            for weaker in ("base", "tuned")
        }  # fmt: skip
        judged = {
            split: judge(
                behaviour[split, "base"],
                behaviour[split, "tuned"],
                task.split(split),
                rule,
                config.seed,
                _measuring(split, latencies, behaviour),
            )
            for split in splits
        }
    elapsed = perf_counter() - start
    comparison = Comparison(
        base=checkpoint_record(pair.base),
        tuned=checkpoint_record(pair.tuned),
        task=task_record(task),
        seed=config.seed,
        elapsed_s=round(elapsed, 3),
        splits={split: each.result for split, each in judged.items()},
        run=_run(config, rule, pair, bars, elapsed),
        tables=tables_of(task, behaviour, judged, latencies, config, rule),
    )
    if out is not None:
        comparison.save(out)
    return comparison


def _measuring(
    split: str, latencies: Mapping[str, EvidenceCollector], behaviour: Mapping[tuple[str, str], Answers]
) -> Callable[[str, Sequence[int]], SplitEvidence]:
    """What measures the evidence on one split, once it is known which checkpoint is the weaker there."""

    def measure(weaker: str, gap: Sequence[int]) -> SplitEvidence:
        stronger = "tuned" if weaker == "base" else "base"
        return latencies[weaker].on(split, gap, behaviour[split, weaker], behaviour[split, stronger])

    return measure


def _run(
    config: CompareConfig, rule: Rule, pair: Sequence[Checkpoint], bars: Progress, elapsed: float
) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json"),
        "rule": rule.model_dump(mode="json"),
        "seed": config.seed,
        "versions": versions(),
        "machine": {"processor": platform.machine(), "threads": config.threads or torch.get_num_threads()},
        "fingerprints": {role: each.fingerprint for role, each in zip(("base", "tuned"), pair, strict=True)},
        "timings_s": {name: round(seconds, 3) for name, seconds in bars.timings.items()},
        "elapsed_s": round(elapsed, 3),
    }
