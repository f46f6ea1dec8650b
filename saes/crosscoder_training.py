"""Training a crosscoder: an SAE of sae-lens on the activations of base and tuned, side by side."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from undertext.activations.errors import UserError, shown
from undertext.activations.files import check_safetensors, is_file
from undertext.activations.hookpoint import HookPoint
from undertext.saes.autoencoder import NORMALISATION, load_sae
from undertext.saes.checkpoints import Checkpoints, trained_sae
from undertext.saes.config import Training
from undertext.saes.crosscoder import Crosscoder, Normalisation, split
from undertext.saes.feed import Feed, Rows
from undertext.saes.measuring import Fidelity, fidelity, firing_shares
from undertext.saes.pairs import PairSource, pair_rows
from undertext.saes.training import check_sae_lens, run_trainer

NORM_ROWS = 16_384
"""Rows that each part's mean and scale are taken from, at most; evenly spread."""


@dataclass(frozen=True, eq=False)
class TrainedCrosscoder:
    """A crosscoder and how well it does."""

    crosscoder: Crosscoder
    config: Training
    fidelity: Fidelity
    """On rows held out, over both models together, in the units of training."""
    firing_shares: Float[Tensor, " d_sae"]
    """Share of the rows held out at which each latent fires."""
    folder: Path | None
    """Where it is saved: sae-lens's files of the SAE on activations side by side, and their normalisation."""


def train_crosscoder(
    pair: PairSource,
    config: Training,
    *,
    points: tuple[HookPoint, ...] = (),
    folder: str | Path | None = None,
    progress: bool | Callable[[int], None] = True,
) -> TrainedCrosscoder:
    """Train a BatchTopK crosscoder on the same rows of base and tuned, at one hook point or several.

    `points` says which they are where `pair` is tensors; a store knows. Checkpoints, resuming and
    `progress` are those of `train_sae`.

    Raises:
        UserError: when the two differ in shape, rows are too few or do not vary, and as `train_sae` does.
    """
    check_sae_lens()
    from undertext.saes.sparse_training import SparseBatchTopKConfig, SparseBatchTopKTrainingSAE

    rows = pair_rows(pair, points)
    normal = Normalisation.of(rows.read(torch.arange(0, rows.count, max(1, -(-rows.count // NORM_ROWS)))))
    feed = Feed(
        Rows(rows.count, lambda chosen: normal.apply(rows.read(chosen))),
        batch_size=config.batch_size,
        held_out=config.held_out,
        seed=config.seed,
    )
    run = Checkpoints.open(folder, config) if folder is not None else None

    def train() -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            training = SparseBatchTopKTrainingSAE(
                SparseBatchTopKConfig(d_in=feed.d_in, d_sae=config.d_sae, k=config.k)
            )
        _start_alike(training, normal.means.shape[0])
        trained = run_trainer(training, config, feed, run, progress)
        if run is not None:
            parts = {"means": normal.means.contiguous(), "scales": normal.scales.contiguous()}
            save_file(parts, run.folder / NORMALISATION, {"points": " ".join(map(str, rows.points))})
        return trained

    sae = trained_sae(run, train, config.device)
    where = None if run is None else run.folder
    shares = firing_shares(sae, feed.held_out)
    return TrainedCrosscoder(
        split(sae, rows.points, normal), config, fidelity(sae, feed.held_out), shares, where
    )


def load_crosscoder(folder: str | Path) -> Crosscoder:
    """Read a crosscoder that `train_crosscoder` saved; UserError when there is none, or it is spoilt."""
    file = Path(folder) / NORMALISATION
    if not is_file(file):
        raise UserError(
            f"expected a crosscoder that `sae train` made in {shown(folder)}: {NORMALISATION} is missing"
        )
    names, sae = set(check_safetensors(file)), load_sae(folder)
    with safe_open(file, framework="pt") as opened:
        points = tuple(HookPoint.parse(name) for name in (opened.metadata() or {}).get("points", "").split())
        tensors = [opened.get_tensor(name) for name in ("means", "scales") if name in names]
    shapes = [list(tensor.shape) for tensor in tensors]
    if (
        sae.cfg.architecture() != "jumprelu"
        or len(shapes) != 2
        or len(shapes[0]) != 3
        or shapes[1] != [2, shapes[0][1]]
        or shapes[0][0] != 2
        or shapes[0][1] != (len(points) or shapes[0][1])
        or math.prod(shapes[0]) != sae.cfg.d_in
    ):
        raise UserError(
            f"no crosscoder in {shown(folder)}: expected a jumprelu SAE, and means [2, point, d_model] and "
            f"scales [2, point] of its inputs, got {sae.cfg.architecture()} [{sae.cfg.d_in}] and {shapes}"
        )
    return split(sae, points, Normalisation(*tensors))


@torch.no_grad()
def _start_alike(sae: Any, models: int) -> None:
    """Let every latent begin with one direction for all models, since most features are both models'."""
    parts = sae.W_dec.unflatten(1, (models, -1))
    parts.copy_(parts[:, :1].expand_as(parts).clone())
    sae.W_dec.mul_(sae.cfg.decoder_init_norm / sae.W_dec.norm(dim=1, keepdim=True))
    sae.W_enc.copy_(sae.W_dec.t())
