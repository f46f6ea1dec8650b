"""`train_dictionary`: a checkpoint or pair captured into a store, an SAE or crosscoder trained on it."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import TokenSpan
from undertext.activations.store import Store, StorePair, capture_to_store, open_pair
from undertext.core.job import job_run
from undertext.core.output import plain
from undertext.core.plan import planning
from undertext.core.progress import Progress
from undertext.core.resume import Done, Part
from undertext.core.setup import noted
from undertext.core.terms import ROLES
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.inputs import Inputs, Sources, check_inputs
from undertext.jobs.sae_train.result import SAE_FOLDER, TrainedDictionary
from undertext.jobs.sae_train.works import train_draft
from undertext.saes import Training, difference, load_sae, loss_recovered, train_crosscoder, train_sae
from undertext.saes.training import check_sae_lens
from undertext.tasks.open import open_task
from undertext.tasks.task import Task

CAPTURED = "activations"


def train_dictionary(
    checkpoint: Any = None,
    tuned: Any = None,
    *,
    task: str | Path | Task | None = None,
    texts: str | Path | None = None,
    store: str | Path | None = None,
    config: TrainConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> TrainedDictionary:
    """Capture activations, train, and measure. The texts are a `task`'s, the lines of a file `texts`, or a
    `store`'s.

    A checkpoint is whatever `Checkpoint.load` takes, a Checkpoint or `zoo:NAME`; of a pair given as names one
    is in memory at a time. `tuned` belongs to a difference and to a crosscoder. A `store` is a folder of
    captured activations (of a pair: one that holds `base` and `tuned`). Killed and called again with the same
    arguments, the job goes on, and ends with the same weights.

    Raises UserError, before any long work where possible, for what cannot be loaded, a layer or site that a
    checkpoint lacks, too few rows, sae-lens not installed, and an `out` of another job.
    """
    config = config or TrainConfig()
    if out is None and not planning.get():
        raise UserError("expected a folder `out`: activations and the training are kept there")
    out = Path(out or "")
    _check_arguments(config, checkpoint, tuned, {"task": task, "texts": texts, "store": store})
    check_sae_lens()
    with job_run("sae train", config, None if planning.get() else out, progress) as run:
        inputs = None
        if store is None:
            given = open_task(task) if task is not None else Path(texts or "")
            sources = Sources([one for one in (checkpoint, tuned) if one is not None], config)
            with run.bars.stage("loading"):
                inputs = check_inputs(sources, given, config)
            identity = inputs.identity()
        else:
            captured = _opened(Path(store), config)
            identity = {"store": _digest(captured), "rows": len(captured)}
        # Of training, unlike of what only reads, the result depends on the batch size.
        identity |= {"training_batch_size": config.batch_size}
        room = 0 if inputs is None else _room(inputs, len(sources), config)
        checkpoint_at = None if inputs is None else sources
        run.plan(lambda: train_draft(checkpoint_at, inputs, None if inputs else captured, config, room))
        if run.begin(room=room, **identity):  # what is there is another job's
            for folder in (out / CAPTURED, out / SAE_FOLDER):
                shutil.rmtree(folder, ignore_errors=True)
        if inputs is not None:
            run.make(_capture_parts(inputs, sources, out / CAPTURED))
            captured = _opened(out / CAPTURED, config)
        make = partial(_trained, captured, config, out / SAE_FOLDER)
        training = Part("training", make, units=config.steps)
        ((fidelity, shares),) = run.make([training])
        loss = None
        if inputs is not None and config.kind == "sae":
            measure = partial(_loss, out / SAE_FOLDER, sources, inputs, config)
            (loss,) = run.make([Part("loss", measure)])
        told = {} if inputs is None else noted(inputs.notes)
        summary = {
            "kind": config.kind,
            "points": list(map(str, captured.points)),
            "rows": len(captured),
            "fidelity": fidelity,
            "loss": loss,
        }
        tables = {"latents": pa.table({"latent": list(range(len(shares))), "frequency": shares.tolist()})}
        return run.finish(TrainedDictionary, plain(summary), tables, **told)


def _check_arguments(config: TrainConfig, checkpoint: Any, tuned: Any, texts: Mapping[str, Any]) -> None:
    given = [name for name, value in texts.items() if value is not None]
    if len(given) != 1:
        raise UserError(
            f"expected one of a task, a file of texts and a store, got {' and '.join(given) or 'none'}"
        )
    pair = config.kind != "sae"
    if texts["store"] is None and (checkpoint is None or pair != (tuned is not None)):
        wanted = "a base and a tuned checkpoint" if pair else "one checkpoint and no tuned one"
        raise UserError(f"expected {wanted} for kind {config.kind!r}")


def _opened(folder: Path, config: TrainConfig) -> Store | StorePair:
    if config.kind == "sae":
        captured: Store | StorePair = Store.open(folder)
    else:
        captured = open_pair(*(folder / role for role in ROLES))
    if config.layers is not None:
        captured = captured.select(
            points=[HookPoint(layer, config.site) for layer in sorted(set(config.layers))]
        )
    return captured


def _room(inputs: Inputs, checkpoints: int, config: TrainConfig) -> int:
    """Bytes of the activations, and of two checkpoints of the training, which hold weights and moments."""
    width = inputs.d_model * len(inputs.points)
    rows = sum(max(len(ids) - inputs.skip, 0) for ids in inputs.texts.train.values())
    weights = 2 * width * config.d_sae * checkpoints
    return 4 * (rows * width * checkpoints + 2 * 3 * weights)


def _digest(captured: Store | StorePair) -> str:
    """What a store holds, wherever its folder stands."""
    stores = [captured] if isinstance(captured, Store) else [captured.base, captured.tuned]
    sums = [shard.xxh128 for one in stores for shard in one.manifest.shards]
    return sha256("".join(sums).encode()).hexdigest()[:16]


def _capture_parts(inputs: Inputs, sources: Sources, folder: Path) -> list[Part]:
    folders = [folder] if len(sources) == 1 else [folder / role for role in ROLES]
    return [
        Part(
            "/".join(["capture", *one.relative_to(folder).parts]) if len(folders) > 1 else "capture",
            partial(_capture, sources, i, inputs, one),
            units=len(inputs.texts.train),
            stage="capturing",
        )
        for i, one in enumerate(folders)
    ]


def _capture(sources: Sources, which: int, inputs: Inputs, folder: Path, done: Done) -> None:
    prompts = inputs.texts.train
    finished = 0

    def more(count: int) -> None:
        nonlocal finished
        done(count - finished)
        finished = count

    spans = {key: TokenSpan(inputs.skip) for key in prompts}
    capture_to_store(sources.open(which), prompts, inputs.points, spans, folder, progress=more)


def _trained(
    captured: Store | StorePair, config: TrainConfig, folder: Path, done: Done
) -> tuple[dict[str, Any], Any]:
    settings = config.training()
    if config.kind == "crosscoder" and isinstance(captured, StorePair):
        crosscoder = Training(**{name: getattr(settings, name) for name in Training.model_fields})
        trained: Any = train_crosscoder(captured, crosscoder, folder=folder, progress=done)
    else:
        rows = difference(captured) if isinstance(captured, StorePair) else captured
        trained = train_sae(rows, settings, folder=folder, progress=done)
    return asdict(trained.fidelity), trained.firing_shares


def _loss(
    folder: Path, sources: Sources, inputs: Inputs, config: TrainConfig, _done: Done
) -> dict[str, float | None]:
    sae = load_sae(folder, device=config.device)
    loss = loss_recovered(sae, sources.open(0), inputs.texts.held_out, inputs.points[0])
    shares = {name: getattr(loss, name) for name in ("recovered_from_zero", "recovered_from_mean")}
    return {**asdict(loss), **shares}
