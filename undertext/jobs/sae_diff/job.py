"""`feature_diff`: what became in a tuned checkpoint of the features of its base."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.pair import Pair, check_pair
from undertext.core.output import check_writable
from undertext.core.progress import Progress
from undertext.core.resume import JobFolder
from undertext.core.setup import checkpoint_record, open_checkpoint, threads, versions
from undertext.jobs.compare.config import verdict_rule
from undertext.jobs.sae_features.config import WORK_ONLY, DiffConfig
from undertext.measures.features.crosscoder import sort_crosscoder
from undertext.measures.features.encoding import check_splits
from undertext.measures.features.fates import follow_features
from undertext.measures.features.opening import open_sae
from undertext.measures.features.rule import feature_rule
from undertext.saes import FeaturePage, load_crosscoder
from undertext.saes.training import check_sae_lens
from undertext.tasks.open import check_fits, open_task, task_record
from undertext.tasks.task import Task


@dataclass(frozen=True, eq=False)
class FeatureDiff:
    """The answer of `feature_diff`."""

    summary: Mapping[str, Any]
    """diff.json: shares of fates, or of latents' kinds; features that tell the most; effects."""
    pages: tuple[FeaturePage, ...]
    """Of the features that tell the most, in that order."""
    tables: Mapping[str, pa.Table] = field(repr=False)
    """`features` (or `latents`), a row each; `classes`, a row for each and class; `effects`."""
    run: Mapping[str, Any] = field(repr=False)
    """Config, rule, versions, times."""

    def figure(self) -> Any:
        """AUROC in base and tuned of the features that tell a value best, as a matplotlib figure; None where
        the task has no values, and of a crosscoder, whose latents have one firing for both."""
        from undertext.report.figures.carriers import carriers_figure

        return carriers_figure(self.summary)

    def save(self, out: str | Path) -> Path:
        """Write tables/, figures/, diff.json, report.html and run.json under `out`."""
        from undertext.jobs.sae_diff.report import save_diff

        return save_diff(self, Path(out))


def feature_diff(
    base: Any,
    tuned: Any,
    task: str | Path | Task,
    *,
    sae: str | Path | None = None,
    sae_id: str | None = None,
    crosscoder: str | Path | None = None,
    config: DiffConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> FeatureDiff:
    """Follow the features of one `sae` from base to tuned, or sort the latents of a `crosscoder`.

    Features are chosen on one split and reported on another. With `out`, effects on answers are kept there as
    they are measured: killed and called again with the same arguments, the job goes on.

    Raises UserError, before any long work where it can be told, for what cannot be loaded, checkpoints that
    are no pair, an SAE of another hook point or width, and an `out` of another job.
    """
    config, rule, start = config or DiffConfig(), feature_rule(), perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    if (sae is None) == (crosscoder is None):
        raise UserError(f"expected an SAE or a crosscoder, got {'neither' if sae is None else 'both'}")
    if out is not None:
        check_writable(Path(out))
    task = open_task(task)
    check_splits(task, config)
    check_sae_lens()
    with threads(config.threads):
        with bars.stage("loading"):
            pair = check_pair(*(_loaded(each, config) for each in (base, tuned)))
            for checkpoint in pair:
                for split in (config.choose, config.split):
                    check_fits(checkpoint, task, split)
            check_fits(pair.base, task, config.split, room=task.max_new_tokens)
        source = sae if sae is not None else crosscoder
        job = {
            "config": config.model_dump(mode="json", exclude=WORK_ONLY),
            "rule": rule.plain(),
            "checkpoints": [each.fingerprint for each in pair],
            "task": task_record(task)["fingerprint"],
            "source": [str(source), sae_id],
        }
        folder = None if out is None else JobFolder(Path(out))
        if sae is not None:
            opened = open_sae(sae, sae_id, pair.base, config)
            if folder is None or not config.effects:
                found = _followed(opened, pair, task, config, None, bars)
            else:
                folder.check(job)
                with folder.open(job):
                    found = _followed(opened, pair, task, config, folder, bars)
        else:
            found = sort_crosscoder(load_crosscoder(crosscoder or ""), pair, task, config, rule, bars)
    result = FeatureDiff(
        summary={
            "base": checkpoint_record(pair.base),
            "tuned": checkpoint_record(pair.tuned),
            "task": task_record(task),
            "sae" if sae is not None else "crosscoder": {"source": str(source), "sae_id": sae_id},
            "splits": {"chosen": config.choose, "reported": config.split},
            **found.summary,
        },
        pages=found.pages,
        tables=found.tables,
        run={
            **job,
            "versions": versions(),
            "timings_s": {name: round(seconds, 3) for name, seconds in bars.timings.items()},
            "elapsed_s": round(perf_counter() - start, 3),
        },
    )
    if out is not None:
        result.save(out)
    return result


def _followed(
    opened: Any, pair: Pair, task: Task, config: DiffConfig, folder: JobFolder | None, bars: Progress
) -> Any:
    level = verdict_rule().level
    return follow_features(opened, pair, task, config, feature_rule(), level, folder, bars)


def _loaded(source: Any, config: DiffConfig) -> Checkpoint:
    if isinstance(source, Checkpoint):
        return source
    given = open_checkpoint(source) if isinstance(source, str) else source
    return Checkpoint.load(given, device=config.device)
