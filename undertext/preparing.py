"""What a job on a weaker and a stronger checkpoint does before it measures."""

from typing import Any

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from saes import load_sae
from saes.sae_type import SAE
from undertext.config import SteerConfig
from undertext.runs import check_fits
from undertext.tasks.task import Task, fill

VECTORS_FROM = "train"
FITTING = (VECTORS_FROM, "dev")


def loaded(source: Any, config: SteerConfig) -> Checkpoint:
    """A checkpoint as it is, or loaded from whatever `Checkpoint.load` takes."""
    return source if isinstance(source, Checkpoint) else Checkpoint.load(source, device=config.device)


def sae_of(config: SteerConfig) -> SAE | None:
    """The SAE whose features are to be steered with; None where the config names none."""
    return None if config.sae is None else load_sae(config.sae, device=config.device)


def splits_of(task: Task, config: SteerConfig) -> list[str]:
    """The splits to report on; UserError for one that the task lacks, or that something is chosen on."""
    named = list(config.splits) if config.splits is not None else [s for s in task.splits if s not in FITTING]
    if not named:
        raise UserError("expected a split to judge or more, got none")
    for split in named:
        task.split(split)
        if split in FITTING:
            raise UserError(
                f"probes are fitted on train and settings chosen on dev: {split!r} cannot be judged"
            )
    return list(dict.fromkeys(named))


def check_task_fits(checkpoint: Checkpoint, task: Task, split: str) -> None:
    """Raise UserError where a text of this split, or one of its contrasts, will not fit the context."""
    check_fits(checkpoint, task, split, room=task.max_new_tokens)
    if split == VECTORS_FROM:
        for contrast in task.contrasts:
            for side in (contrast.positive, contrast.negative):
                checkpoint.encode([fill(side, problem.prompt) for problem in task.split(split)])


def described(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint in a report."""
    return {
        "name": checkpoint.name,
        "fingerprint": checkpoint.fingerprint,
        "n_layers": checkpoint.n_layers,
        "d_model": checkpoint.d_model,
        "d_vocab": checkpoint.d_vocab,
    }
