"""sae.*: training with sparse gradients beside sae-lens's own classes, and whether the SAE is as good.

TopK and BatchTopK by sae-lens's trainer with its own settings (d_in 256, d_sae 4096, k 32; batches of 4,096
rows, its default), float32, one thread; the two classes begin with equal weights and alternate in one
process, step by step. Quality: 2,000 steps of each class on batches of 256 rows, the same rows in the same
order; explained variance on 8,192 other rows, of the dense class less ours, the worse of the two
architectures.
"""

import contextlib
import io
import json
import statistics
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import torch
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    SAETrainer,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
)
from sae_lens.config import SAETrainerConfig
from torch import Tensor

from undertext.saes.sparse_training import (
    SparseBatchTopKConfig,
    SparseBatchTopKTrainingSAE,
    SparseTopKConfig,
    SparseTopKTrainingSAE,
)

D_IN, D_SAE, K, FEATURES = 256, 4096, 32, 2048
BATCH, WARM_UP, ROUNDS = 4096, 2, 9
QUALITY_BATCH, STEPS, TEST_ROWS = 256, 2000, 8192
CLASSES: dict[str, tuple[tuple[Any, Any], tuple[Any, Any]]] = {
    "topk": ((TopKTrainingSAE, TopKTrainingSAEConfig), (SparseTopKTrainingSAE, SparseTopKConfig)),
    "batchtopk": (
        (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig),
        (SparseBatchTopKTrainingSAE, SparseBatchTopKConfig),
    ),
}


def batches(size: int, seed: int) -> Iterator[Tensor]:
    """Rows of some 20 of 2,048 features each, and a little noise."""
    directions = torch.nn.functional.normalize(
        torch.randn(FEATURES, D_IN, generator=torch.Generator().manual_seed(0)), dim=1
    )
    noise = torch.Generator().manual_seed(seed)
    while True:
        fires = torch.rand(size, FEATURES, generator=noise) < 0.01
        strengths = fires * (0.5 + torch.rand(size, FEATURES, generator=noise))
        yield strengths @ directions + 0.02 * torch.randn(size, D_IN, generator=noise)


def trainer(kind: tuple[Any, Any], size: int, steps: int) -> Any:
    torch.manual_seed(0)
    sae = kind[0](kind[1](d_in=D_IN, d_sae=D_SAE, k=K))
    settings = SAETrainerConfig(
        total_training_samples=size * steps, train_batch_size_samples=size, lr=3e-4, lr_end=3e-5
    )
    return SAETrainer(cfg=settings, sae=sae, data_provider=batches(size, seed=1))


def speed(name: str) -> float:
    """Median over rounds of a dense step's time over a sparse step's, on the same rows."""
    peers = [trainer(kind, BATCH, 1000) for kind in CLASSES[name]]
    rows = batches(BATCH, seed=2)
    found, seconds = [], []
    for turn in range(WARM_UP + ROUNDS):
        batch, times = next(rows), []
        for peer in peers:
            start = perf_counter()
            peer.step(batch)
            times.append(perf_counter() - start)
        if turn >= WARM_UP:
            found.append(times[0] / times[1])
            seconds.append(times)
    middle = [statistics.median(side) for side in zip(*seconds, strict=True)]
    rates = " and ".join(f"{BATCH / second:,.0f}" for second in middle)
    ratio = statistics.median(found)
    print(f"| sae.{name} | {ratio:.2f} | {min(found):.2f} to {max(found):.2f} | {rates} rows/s |", flush=True)
    return round(ratio, 3)


@torch.no_grad()
def explained(sae: Any) -> float:
    rows = next(batches(TEST_ROWS, seed=3))
    error, spread = 0.0, (rows - rows.mean(dim=0)).pow(2).sum().item()
    for part in rows.split(2048):
        error += (sae(part) - part).pow(2).sum().item()
    return 1 - error / spread


def quality() -> float:
    """The largest loss of explained variance by the sparse class."""
    gaps = []
    for name, kinds in CLASSES.items():
        values = []
        for kind in kinds:
            with contextlib.redirect_stderr(io.StringIO()):  # sae-lens's progress bar
                values.append(explained(trainer(kind, QUALITY_BATCH, STEPS).fit()))
        gaps.append(values[0] - values[1])
        print(
            f"| {name}, explained variance | {gaps[-1]:+.6f} | {values[0]:.5f} less {values[1]:.5f} | |",
            flush=True,
        )
    return round(max(gaps), 7)


def main() -> None:
    torch.set_num_threads(1)
    print("| id | figure | spread | dense and sparse |\n|---|---|---|---|")
    found = {f"sae.{name}": speed(name) for name in CLASSES}
    found["sae.quality"] = quality()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
