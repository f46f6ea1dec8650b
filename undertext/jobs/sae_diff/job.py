"""`feature_diff`: what became in a tuned checkpoint of the features of its base."""

from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError
from undertext.activations.pair import Pair
from undertext.core.job import job_run
from undertext.core.output import plain
from undertext.core.progress import Progress
from undertext.core.setup import checkpoint_record, noted, open_pair
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_diff.features import follow_features
from undertext.jobs.sae_diff.latents import sort_crosscoder
from undertext.jobs.sae_diff.result import FeatureDiff
from undertext.jobs.sae_diff.works import diff_draft
from undertext.measures.features.crosscoder import check_crosscoder
from undertext.measures.features.encoding import check_splits
from undertext.measures.features.labels import left_out
from undertext.measures.features.opening import open_sae
from undertext.measures.features.rule import feature_rule
from undertext.saes import fingerprint, load_crosscoder
from undertext.saes.training import check_sae_lens
from undertext.tasks.open import check_fits, open_task, task_record, texts_of
from undertext.tasks.prompts import ask
from undertext.tasks.task import Task


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

    The checkpoints are whatever `Checkpoint.load` takes, Checkpoints or `zoo:NAME`. Features are chosen on
    one split and reported on another. With `out`, an interrupted job goes on.

    Raises UserError, before any long work where possible, for what cannot be loaded, checkpoints that are no
    pair, an SAE of another hook point or width, and an `out` of another job.
    """
    config, rule = config or DiffConfig(), feature_rule()
    if (sae is None) == (crosscoder is None):
        raise UserError(f"expected an SAE or a crosscoder, got {'neither' if sae is None else 'both'}")
    with job_run("sae diff", config, out, progress) as run:
        task = open_task(task, config, writes="sae diff")
        check_splits(task, config)
        check_sae_lens()
        with run.bars.stage("loading"):
            pair = open_pair(base, tuned, config, texts_of(task))
            asked = ask(task, pair, ("base", "base"), config.seed)
            pair, (task, _) = Pair(*asked.checkpoints), asked.tasks
            unmeasured = left_out(pair.base, task.split(config.choose), config.max_classes)
            for checkpoint in pair:
                for split in (config.choose, config.split):
                    check_fits(checkpoint, task, split)
            check_fits(pair.base, task, config.split, room=task.max_new_tokens)
            if crosscoder is not None:
                latents = load_crosscoder(crosscoder)
                check_crosscoder(latents, pair)
                weights = latents.weights()
            else:
                opened = open_sae(sae or "", sae_id, pair.base, config)
                weights = opened.sae.state_dict()
        points = len(latents.points) if crosscoder is not None else 0
        width = latents.encoders.shape[-1] if crosscoder is not None else opened.sae.cfg.d_sae
        run.plan(lambda: diff_draft(pair, task, config, width, points))
        run.begin(
            base=pair.base.fingerprint,
            tuned=pair.tuned.fingerprint,
            task=task_record(task)["fingerprint"],
            dictionary=fingerprint(weights),
            rule=rule.plain(),
        )
        if crosscoder is not None:
            found = sort_crosscoder(run, latents, pair, task, config, rule)
        else:
            found = follow_features(run, opened, pair, task, config, rule)
        summary = {
            "base": checkpoint_record(pair.base),
            "tuned": checkpoint_record(pair.tuned),
            "task": task_record(task),
            "sae" if crosscoder is None else "crosscoder": {
                "source": str(sae or crosscoder),
                "sae_id": sae_id,
            },
            "splits": {"chosen": config.choose, "reported": config.split},
            **found.summary,
        }
        return run.finish(FeatureDiff, plain(summary), found.tables, **noted([*pair.notes, *unmeasured]))
