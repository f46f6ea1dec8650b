"""A small SAE of an organism, trained on what it reads and writes itself and on nothing else."""

from pathlib import Path

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.measures.recovery.feature_vectors import own_texts
from undertext.saes import SaeConfig, TrainedSae, train_sae
from undertext.tasks.task import Task

LAYER = 2
"""Where the base's values read best (docs/zoo.md)."""
STEPS = 1500


def own_sae(checkpoint: Checkpoint, task: Task, folder: Path, *, seed: int, steps: int = STEPS) -> TrainedSae:
    """Trained on `train`, and written to `folder`; it says which checkpoint it is of. UserError as
    `train_sae`."""
    point = HookPoint(LAYER, "resid_post")
    rows = capture(checkpoint, own_texts(checkpoint, task, task.split("train")), [point], "all")[point]
    config = SaeConfig(d_sae=128, k=8, steps=steps, batch_size=512, held_out=2000, lr=2e-3, seed=seed)
    return train_sae(rows, config, folder=folder, point=point, of=checkpoint, progress=False)
