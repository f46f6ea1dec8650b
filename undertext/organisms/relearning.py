"""Relearning: how fast a checkpoint picks a capability up, against one that never had it.

Used only to check organisms' ground truth, never in a verdict: what training recovers need not have been
latent.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel

from undertext.activations.checkpoint import Checkpoint
from undertext.measures.answers import greedy
from undertext.organisms.documents import Kind, Mixture
from undertext.organisms.shapes import chain_tokenizer
from undertext.organisms.training import Stage, train
from undertext.tasks.task import Task

STEPS = 40
"""Tuning steps after which relearning is judged."""
RELEARNT, NOT_RELEARNT = 0.6, 0.35
"""Accuracy that a latent capability reaches by then, and that an absent one stays under."""


def accuracy(model: PreTrainedModel, task: Task, splits: Sequence[str], prefix: str = "") -> dict[str, float]:
    """Greedy lenient accuracy on each split, every prompt put behind `prefix`."""
    checkpoint = Checkpoint.load(model, tokenizer=chain_tokenizer())
    accuracies = {}
    for split in splits:
        problems = task.split(split)
        answers = greedy(
            checkpoint, task, problems, prompts=[prefix + problem.prompt for problem in problems]
        )
        accuracies[split] = round(float(answers.lenient.mean()), 4)
    return accuracies


def relearn(
    model: PreTrainedModel,
    task: Task,
    splits: Sequence[str],
    *,
    seed: int,
    on_step: Callable[[int, int, float], None] | None = None,
) -> dict[str, float]:
    """Accuracy a split after `STEPS` steps of tuning a copy of `model` on worked traces.

    The tuning set is drawn from the training side of all chain problems, so no task folder holds
    any of it; its lengths are those of train, dev and test.
    """
    tuned = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        train(
            tuned,
            [Stage(Mixture([Kind(1.0, "trace")]), steps=STEPS, lr=3e-4, warmup=5, final_lr_share=1.0)],
            seed=seed,
            on_step=on_step,
        )
    return accuracy(tuned, task, splits)
