"""`train_dictionary`: a checkpoint or pair captured into a store, an SAE or crosscoder trained on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import check_point
from undertext.activations.pair import Outline, check_outlines
from undertext.activations.spans import TokenSpan
from undertext.activations.store import (
    Store,
    StorePair,
    capture_pair_to_store,
    capture_to_store,
    open_pair,
)
from undertext.activations.store.capturing_pair import BASE, TUNED, free_memory
from undertext.core.output import RUN, check_writable, json_bytes, publish
from undertext.core.progress import Progress
from undertext.core.resume import JobFolder
from undertext.core.setup import open_checkpoint, threads, versions
from undertext.jobs.sae_features.config import WORK_ONLY, TrainConfig
from undertext.jobs.sae_train.texts import Texts, texts_of
from undertext.saes import (
    LossRecovered,
    SaeConfig,
    TrainedCrosscoder,
    TrainedSae,
    Training,
    difference,
    loss_recovered,
    train_crosscoder,
    train_sae,
)
from undertext.saes.measuring import Fidelity
from undertext.saes.training import check_sae_lens
from undertext.tasks.open import open_task
from undertext.tasks.task import Task

RESULT = "result.json"
SAE_FOLDER, CAPTURED = "sae", "activations"


@dataclass(frozen=True)
class TrainedDictionary:
    """The answer of `train_dictionary`."""

    folder: Path
    """Where the SAE or crosscoder is saved, in sae-lens's format."""
    points: tuple[str, ...]
    """Hook points it reads."""
    rows: int
    """Rows of activations there were, those held out among them."""
    fidelity: Fidelity
    """On the rows held out."""
    loss: LossRecovered | None
    """On texts not trained on; None where there is no one checkpoint to splice it into (a difference, a
    crosscoder, a store alone)."""
    run: Mapping[str, Any]
    """Config, fingerprints, versions, times."""

    def to_dict(self) -> dict[str, Any]:
        """result.json as plain values."""
        loss = None
        if self.loss is not None:
            shares = {
                name: getattr(self.loss, name) for name in ("recovered_from_zero", "recovered_from_mean")
            }
            loss = {**asdict(self.loss), **shares}
        return {
            "folder": self.folder.name,
            "points": self.points,
            "rows": self.rows,
            "fidelity": asdict(self.fidelity),
            "loss": loss,
        }


def train_dictionary(
    checkpoint: str | Path | None = None,
    tuned: str | Path | None = None,
    *,
    task: str | Path | Task | None = None,
    texts: str | Path | None = None,
    store: str | Path | None = None,
    config: TrainConfig | None = None,
    out: str | Path,
    progress: bool | Progress | None = None,
) -> TrainedDictionary:
    """Capture, train, measure. What is read is a `task`'s texts, a file of `texts`, or a `store`.

    Checkpoints are folders, hub ids or `zoo:NAME`; `tuned` belongs to a difference and to a crosscoder. A
    `store` is a folder that was captured already (of a pair: one that holds `base` and `tuned`). Killed and
    called again with the same arguments, it goes on, and ends with the very weights it would have had.

    Raises UserError, before any long work where it can be told, for what cannot be loaded, a layer or site
    that a checkpoint lacks, too few rows, sae-lens not installed, and an `out` of another job.
    """
    config = config or TrainConfig()
    start = perf_counter()
    bars = progress if isinstance(progress, Progress) else Progress(progress)
    out = Path(out)
    given = [name for name, each in (("task", task), ("texts", texts), ("store", store)) if each is not None]
    if len(given) != 1:
        raise UserError(
            f"expected one of a task, a file of texts and a store, got {' and '.join(given) or 'none'}"
        )
    both = config.kind != "sae"
    if store is None and (checkpoint is None or both != (tuned is not None)):
        wanted = "a base and a tuned checkpoint" if both else "one checkpoint and no tuned one"
        raise UserError(f"expected {wanted} for kind {config.kind!r}")
    check_sae_lens()
    check_writable(out)
    folder = JobFolder(out)
    with threads(config.threads):
        if store is not None:
            source: Store | StorePair = _opened(Path(store), config)
            job: dict[str, Any] = {"store": str(Path(store).resolve()), "rows": len(source)}
        else:
            read = open_task(task) if task is not None else Path(texts or "")
            sources = [open_checkpoint(str(each)) for each in (checkpoint, tuned) if each is not None]
            with bars.stage("loading"):
                seen = _checked(sources, read, config)
            job = {"checkpoints": seen.fingerprints, "texts": seen.texts.fingerprint()}
        job["config"] = config.model_dump(mode="json", exclude=WORK_ONLY)
        folder.check(job)
        with folder.open(job):
            if store is None:
                source = _captured(seen, sources, out / CAPTURED, config, bars)
            with bars.stage("training"):
                trained = _trained(source, config, out / SAE_FOLDER, bars.show)
            loss = None
            if isinstance(trained, TrainedSae) and store is None and seen.checkpoint is not None:
                with bars.stage("loss"):
                    loss = loss_recovered(trained.sae, seen.checkpoint, seen.texts.held_out, source.points[0])
    result = TrainedDictionary(
        folder=out / SAE_FOLDER,
        points=tuple(map(str, source.points)),
        rows=len(source),
        fidelity=trained.fidelity,
        loss=loss,
        run={
            **job,
            "threads": config.threads,
            "device": config.device,
            "versions": versions(),
            "timings_s": {name: round(seconds, 3) for name, seconds in bars.timings.items()},
            "elapsed_s": round(perf_counter() - start, 3),
        },
    )
    files = {RESULT: json_bytes(result.to_dict())}
    publish({**files, RUN: json_bytes({**result.run, "files": sorted([*files, RUN])})}, out)
    return result


class _Seen(NamedTuple):
    """What is known before any long work."""

    checkpoint: Checkpoint | None
    """The one that an SAE is of; None for a pair, whose two are never in memory together."""
    texts: Texts
    points: list[HookPoint]
    fingerprints: list[str]


def _checked(sources: Sequence[str], read: Task | Path, config: TrainConfig) -> _Seen:
    first = Checkpoint.load(sources[0], device=config.device)
    layers = (first.n_layers // 2,) if config.layers is None else config.layers
    points = [HookPoint(layer, config.site) for layer in sorted(set(layers))]
    texts, outline, fingerprints = texts_of(first, read, config), Outline.of(first), [first.fingerprint]
    for point in points:
        check_point(first, point)
    rows = sum(len(ids) - config.skip for ids in texts.train.values())
    if rows < config.batch_size + config.held_out:  # training would say so, but after the capture
        raise UserError(
            f"expected at least {config.batch_size} tokens to train on and {config.held_out} held out, "
            f"got {rows}: lower batch_size or held_out, or give more texts"
        )
    if len(sources) == 1:
        return _Seen(first, texts, points, fingerprints)
    del first
    free_memory()
    tuned = Checkpoint.load(sources[1], device=config.device)
    check_outlines(outline, Outline.of(tuned))
    return _Seen(None, texts, points, [*fingerprints, tuned.fingerprint])


def _captured(
    seen: _Seen, sources: Sequence[str], folder: Path, config: TrainConfig, bars: Progress
) -> Store | StorePair:
    prompts = seen.texts.train
    spans = {key: TokenSpan(config.skip) for key in prompts}
    with bars.stage("capturing", len(prompts) * len(sources)) as done:
        told = _increments(done)
        if seen.checkpoint is not None:
            return capture_to_store(seen.checkpoint, prompts, seen.points, spans, folder, progress=told)
        base, tuned = sources
        load = {"device": config.device}
        return capture_pair_to_store(
            base, tuned, prompts, seen.points, spans, folder, load=load, progress=told
        )


def _increments(done: Callable[[int], None]) -> Callable[[int], None]:
    """From how many are finished, begun anew for a second store, to how many more."""
    last = 0

    def told(count: int) -> None:
        nonlocal last
        done(count - last if count > last else count)
        last = count

    return told


def _opened(folder: Path, config: TrainConfig) -> Store | StorePair:
    both = config.kind != "sae"
    source = open_pair(folder / BASE, folder / TUNED) if both else Store.open(folder)
    if config.layers is not None:
        source = source.select(points=[HookPoint(layer, config.site) for layer in config.layers])
    return source


def _trained(
    source: Store | StorePair, config: TrainConfig, folder: Path, show: bool
) -> TrainedSae | TrainedCrosscoder:
    values = {name: getattr(config, name) for name in SaeConfig.model_fields}
    if isinstance(source, Store):
        return train_sae(source, SaeConfig(**values), folder=folder, progress=show)
    if config.kind == "difference":
        return train_sae(difference(source), SaeConfig(**values), folder=folder, progress=show)
    training = Training(**{name: values[name] for name in Training.model_fields})
    return train_crosscoder(source, training, folder=folder, progress=show)
