"""`feature_table`: which task values each SAE feature predicts, and whether it survives falsification."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Bool
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.core.job import job_run
from undertext.core.output import plain
from undertext.core.plan import Draft, Work
from undertext.core.progress import Progress
from undertext.core.resume import Part
from undertext.core.setup import checkpoint_record, noted, open_checkpoint
from undertext.jobs.sae_features.config import FeaturesConfig
from undertext.jobs.sae_features.result import FeatureTable
from undertext.measures.features.association import best_features, most_associated
from undertext.measures.features.columns import best_columns, classes_table, numbers, rows_table
from undertext.measures.features.encoding import EncodedSplit, check_splits, encode_split
from undertext.measures.features.falsification import FalsifiedFeatures, falsify_features, words_for
from undertext.measures.features.labels import left_out
from undertext.measures.features.opening import open_sae
from undertext.measures.features.rule import FeatureRule, feature_rule
from undertext.measures.features.works import encoding_work, falsification_work
from undertext.saes import ShiftCuts, decoder_directions, feature_page, fingerprint
from undertext.saes.training import check_sae_lens
from undertext.tasks.open import check_fits, open_task, task_record
from undertext.tasks.prompts import ask
from undertext.tasks.task import Task
from undertext.tasks.work import trial_of


def feature_table(
    checkpoint: Any,
    task: str | Path | Task,
    sae: str | Path,
    *,
    sae_id: str | None = None,
    config: FeaturesConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> FeatureTable:
    """Measure every feature of `sae` against the task's values and steps, and by falsification.

    `checkpoint` is whatever `Checkpoint.load` takes, a Checkpoint or `zoo:NAME`; `sae` a folder that sae-lens
    saved, or a release with its `sae_id`. What is chosen (the class that a feature predicts best, which
    features have a page) is chosen on one split and reported on another. With `out`, an interrupted job goes
    on.

    Raises UserError, before any long work where possible, for what cannot be loaded, an SAE of another hook
    point or width, a split that the task lacks, and words that the tokenizer lacks.
    """
    config, rule = config or FeaturesConfig(), feature_rule()
    with job_run("sae features", config, out, progress) as run:
        task = open_task(task, config, writes="sae features")
        check_splits(task, config)
        check_sae_lens()
        with run.bars.stage("loading"):
            model = open_checkpoint(checkpoint, device=config.device, dtype=config.dtype)
            ((model,), (task,), _) = ask(task, [model], [config.asked_as], config.seed)
            problems = task.split(config.split)
            for split in (config.choose, config.split):
                check_fits(model, task, split)
            words = words_for(model, problems, config.words, config.plain_texts)
            opened = open_sae(sae, sae_id, model, config)
            directions = decoder_directions(opened.sae)
        run.plan(lambda: _draft(model, task, words, len(directions), config))
        run.begin(
            checkpoint=model.fingerprint,
            sae=fingerprint(opened.sae.state_dict()),
            task=task_record(task)["fingerprint"],
            rule=rule.plain(),
        )
        encode = partial(encode_split, opened, [model], [1.0], task)
        (chosen,) = run.make(
            [Part("encoding/chosen", lambda _: encode(config.choose, config), stage="encoding")]
        )
        (encoded,) = run.make(
            [
                Part(
                    "encoding/reported",
                    lambda _: encode(config.split, config, chosen.labels),
                    stage="encoding",
                )
            ]
        )
        falsify = partial(
            falsify_features, opened, model, problems, encoded.texts[0], words,
            plain_texts=config.plain_texts, inject_words=config.inject, skip=config.skip, seed=config.seed,
        )  # fmt: skip
        (falsified,) = run.make([Part("falsification", lambda _: falsify())])
        alive = chosen.frequency[0] >= rule.fates.alive
        top = most_associated(chosen.associations[0], alive, config.pages) if config.pages else []
        with run.bars.stage("pages"):
            pages = [feature_page(feature, directions[feature], encoded.texts, [model]) for feature in top]
        tables = {
            "features": pa.table(_columns(chosen, encoded, falsified, rule.shift)),
            "classes": classes_table(chosen, encoded, ("",)),
        }
        if pages:
            tables["pages"] = rows_table([asdict(page) for page in pages])
        summary = {
            "checkpoint": checkpoint_record(model),
            "task": task_record(task),
            "sae": {"source": str(sae), "sae_id": sae_id},
            "hook_point": str(opened.point),
            "splits": {"chosen": config.choose, "reported": config.split},
            "tokens": encoded.texts[0].firings.n,
            "features": len(directions),
            "alive": int((encoded.frequency[0] >= rule.fates.alive).sum()),
            "falsification": _shares(falsified, rule, top),
            "most_associated": top,
            "associated": _associated(chosen, encoded, config),
            "words": list(words),
            "plain_texts": falsified.plain,
            "notes": [
                *left_out(model, task.split(config.choose), config.max_classes),
                *falsified.notes,
            ],
        }
        return run.finish(FeatureTable, plain(summary), tables, **noted(model.notes))


def _draft(
    checkpoint: Checkpoint,
    task: Task,
    words: Mapping[str, Sequence[Sequence[int]]],
    latents: int,
    config: FeaturesConfig,
) -> Draft:
    """The job before it begins."""

    def works(config: FeaturesConfig) -> list[Work]:
        falsification = falsification_work(
            checkpoint,
            task.split(config.split),
            words,
            config,
            plain_texts=config.plain_texts,
            inject_words=config.inject,
            seed=config.seed,
            latents=latents,
        )
        splits = [config.choose, config.split]
        return [encoding_work("encoding", checkpoint, task, splits, latents), falsification]

    problems = [*task.split(config.choose), *task.split(config.split)]
    trial = trial_of(checkpoint, task, problems, config.seed, config.batch_size)
    return Draft(works, trial, [checkpoint], [])


def _associated(chosen: EncodedSplit, encoded: EncodedSplit, config: FeaturesConfig) -> list[dict[str, Any]]:
    """For each class of each value: the feature that predicts it best, with its AUROC on both splits."""
    rows = []
    for i, c, feature in best_features(chosen.associations[0]):
        labels = chosen.associations[0][i].labels
        auroc = {
            split: float(one.associations[0][i].auroc[c, feature])
            for split, one in ((config.choose, chosen), (config.split, encoded))
        }
        rows.append({"value": labels.name, "class": labels.classes[c], "feature": feature, "auroc": auroc})
    return rows


def _shares(falsified: FalsifiedFeatures, rule: FeatureRule, top: Sequence[int]) -> dict[str, Any]:
    """How many features fail: of those tested, and of those most associated with the task's values."""
    raw, corrected, tested = falsified.raw, falsified.corrected, falsified.tested
    among = torch.zeros_like(tested)
    among[list(top)] = True

    def share(of: Bool[Tensor, " d_sae"], which: Bool[Tensor, " d_sae"]) -> float | None:
        return float(of[which].double().mean()) if which.any() else None

    return {
        name: {
            "features": int(which.sum()),
            "fail": share(corrected.fails(rule.shift), which),
            "word_detectors": share(corrected.word_detectors(rule.shift), which),
            "wording_bound": None
            if raw.paraphrase is None
            else share(corrected.wording_bound(rule.shift), which),
            "fail_uncorrected": share(raw.fails(rule.shift), which),
        }
        for name, which in (("tested", tested), ("most_associated", among & tested))
    }


def _columns(
    chosen: EncodedSplit, encoded: EncodedSplit, falsified: FalsifiedFeatures, cuts: ShiftCuts
) -> dict[str, Any]:
    n = encoded.frequency.shape[1]
    raw, holm, score = falsified.raw, falsified.corrected, falsified.reason_score
    nothing = pa.nulls(n, pa.float64())
    columns: dict[str, Any] = {
        "feature": list(range(n)),
        "frequency": encoded.frequency[0].tolist(),
        "strength": numbers(encoded.strength[0]),
        **best_columns(chosen.associations[0], {"": encoded.associations[0]}),
        "reason_score": pa.nulls(n) if score is None else score.tolist(),
        "tested": falsified.tested.tolist(),
        "injection_d": numbers(raw.injection.d),
        "injection_p": numbers(raw.injection.p(cuts.test)),
        "injection_p_holm": numbers(holm.injection.p(cuts.test)),
        "transfer": numbers(raw.transfer),
        "paraphrase_d": nothing,
        "paraphrase_p": nothing,
        "paraphrase_p_holm": nothing,
        "word_detector": holm.word_detectors(cuts).tolist(),
        "wording_bound": pa.nulls(n, pa.bool_()),
        "fails": holm.fails(cuts).tolist(),
    }
    if raw.paraphrase is not None and holm.paraphrase is not None:
        columns["paraphrase_d"] = numbers(raw.paraphrase.d)
        columns["paraphrase_p"] = numbers(raw.paraphrase.p(cuts.test))
        columns["paraphrase_p_holm"] = numbers(holm.paraphrase.p(cuts.test))
        columns["wording_bound"] = holm.wording_bound(cuts).tolist()
    return columns
