"""Training an SAE with sae-lens's trainer; a run that is killed goes on from its last checkpoint, to the
same end."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, install
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store import Store
from undertext.saes.checkpoints import Checkpoints, trained_sae
from undertext.saes.config import SaeConfig, Training
from undertext.saes.feed import Feed, Source, rows_of
from undertext.saes.measuring import Fidelity, fidelity, firing_shares
from undertext.saes.sae_type import SAE

NORM_BATCHES = 16
"""Batches that the scale of the inputs is estimated on, before training and apart from it."""


@dataclass(frozen=True, eq=False)
class TrainedSae:
    """An SAE and how well it does."""

    sae: SAE
    """sae-lens's own inference SAE: `topk`, or `jumprelu` for every other architecture."""
    config: SaeConfig
    fidelity: Fidelity
    """On the rows that were held out."""
    firing_shares: Float[Tensor, " d_sae"]
    """Share of the rows held out at which each latent fires."""
    folder: Path | None
    """Where it is saved, in sae-lens's format."""


def train_sae(
    source: Source,
    config: SaeConfig,
    *,
    folder: str | Path | None = None,
    point: HookPoint | None = None,
    of: Checkpoint | None = None,
    progress: bool | Callable[[int], None] = True,
) -> TrainedSae:
    """Train an SAE on the activations of one hook point.

    With a `folder`, checkpoints are kept in it while training lasts: called again after it was killed, with
    the same source and config, training goes on, and ends with the very weights it would have had. The SAE
    is then saved there and opens with `load_sae(folder)` or plain sae-lens. A folder that holds it already
    is read.

    `point`, and name and fingerprint of the checkpoint that the activations are `of`, go into the SAE's
    metadata (`hook_name`, `model_name`, `fingerprint`); a store knows its point, and, filled by
    `capture_to_store`, the fingerprint. `progress` says whether sae-lens shows its bar, or
    is called with the number of steps done since its last call.

    Raises:
        UserError: when there are too few rows, NaN or infinity among them, sae-lens is not installed, or the
            folder holds a run of another config.
    """
    lens = check_sae_lens()
    if isinstance(source, Store) and len(source.points) == 1:
        point = source.points[0]
    feed = Feed(rows_of(source), batch_size=config.batch_size, held_out=config.held_out, seed=config.seed)
    run = Checkpoints.open(folder, config) if folder is not None else None

    def train() -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            sae = _training_sae(lens, config, feed.d_in)
        sae.cfg.metadata.hook_name = None if point is None else str(point)
        if of is not None:
            sae.cfg.metadata.model_name, sae.cfg.metadata.fingerprint = of.name, of.fingerprint
        elif isinstance(source, Store) and "checkpoint" in source.meta:
            sae.cfg.metadata.fingerprint = source.meta["checkpoint"]
        return run_trainer(sae, config, feed, run, progress)

    sae = trained_sae(run, train, config.device)
    rows = feed.held_out
    where = None if run is None else run.folder
    return TrainedSae(sae, config, fidelity(sae, rows), firing_shares(sae, rows), where)


def run_trainer(
    sae: Any,
    config: Training,
    feed: Feed,
    checkpoints: Checkpoints | None,
    progress: bool | Callable[[int], None],
) -> Any:
    """Train `sae`, a training SAE of sae-lens, by sae-lens's trainer, from its last checkpoint if there is
    one."""
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    decay = int(config.decay * config.steps)
    settings = SAETrainerConfig(
        total_training_samples=config.steps * config.batch_size,
        train_batch_size_samples=config.batch_size,
        lr=config.lr,
        lr_end=config.lr,  # sae-lens asserts that one is given; its constant schedule does not use it
        lr_warm_up_steps=int(config.warm_up * config.steps),
        lr_decay_steps=decay,
        dead_feature_window=config.dead_after,
        # One window for the whole run: closing one draws a histogram by wandb, wanted or not.
        feature_sampling_window=config.steps + 1,
        n_batches_for_norm_estimate=NORM_BATCHES,
        device=config.device,
    )
    trainer: Any = SAETrainer(cfg=settings, sae=sae.to(config.device), data_provider=feed)
    if checkpoints is not None:
        checkpoints.resume(trainer, feed)
    told = 0

    def tell(at: int) -> None:
        nonlocal told
        if not isinstance(progress, bool) and at > told:
            progress(at - told)
            told = at

    def before_batch() -> None:
        at = trainer.n_training_steps
        tell(at)
        if checkpoints is not None and at and at % config.checkpoint_every == 0 and at != checkpoints.step:
            checkpoints.save(trainer, feed)

    feed.before = before_batch
    with _bars(progress is True):
        trained = trainer.fit()
    tell(config.steps)
    return trained


@contextmanager
def _bars(show: bool) -> Iterator[None]:
    """sae-lens's bars shown or not, or every minute where stderr is no terminal; it has no setting for it."""
    from sae_lens.training import activation_scaler, sae_trainer

    modules: tuple[Any, ...] = (activation_scaler, sae_trainer)
    before = [module.tqdm for module in modules]
    try:
        if not (show and sys.stderr.isatty()):
            how: dict[str, Any] = {"disable": True}
            if show:
                how = {"delay": 60, "mininterval": 60, "maxinterval": 120, "file": _Lines()}
            for module, bar in zip(modules, before, strict=True):
                module.tqdm = partial(bar, **how)
        yield
    finally:
        for module, bar in zip(modules, before, strict=True):
            module.tqdm = bar


class _Lines:
    """Stderr as a log: what a bar draws over itself, a line each."""

    def write(self, text: str) -> None:
        """A line, unless nothing is drawn."""
        if drawn := text.strip():
            print(drawn, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Nothing waits."""


def _training_sae(lens: Any, config: SaeConfig, d_in: int) -> Any:
    from undertext.saes.sparse_training import (
        SparseBatchTopKConfig,
        SparseBatchTopKTrainingSAE,
        SparseTopKConfig,
        SparseTopKTrainingSAE,
    )

    shape: dict[str, Any] = {
        "d_in": d_in,
        "d_sae": config.d_sae,
        "normalize_activations": "expected_average_only_in" if config.normalize else "none",
    }
    match config.architecture:
        case "topk":
            return SparseTopKTrainingSAE(SparseTopKConfig(**shape, k=int(config.k)))
        case "batchtopk":
            return SparseBatchTopKTrainingSAE(SparseBatchTopKConfig(**shape, k=config.k))
        case "matryoshka":
            widths = [*config.matryoshka_widths, config.d_sae]
            return lens.MatryoshkaBatchTopKTrainingSAE(
                lens.MatryoshkaBatchTopKTrainingSAEConfig(**shape, k=config.k, matryoshka_widths=widths)
            )
        case "jumprelu":
            return lens.JumpReLUTrainingSAE(
                lens.JumpReLUTrainingSAEConfig(
                    **shape,
                    jumprelu_sparsity_loss_mode="quadratic",
                    target_l0=config.k,
                    l0_coefficient=config.l0_coefficient,
                    l0_warm_up_steps=math.ceil(config.warm_up * config.steps),
                )
            )


def check_sae_lens() -> Any:
    """sae-lens, imported; UserError when it is not installed."""
    try:
        import sae_lens
    except ImportError as error:
        raise UserError(f"SAEs need sae-lens, which is not installed: {install('saes')}") from error
    return sae_lens
