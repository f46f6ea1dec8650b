"""Whether a checkpoint's activations say that it will be right, before it has said anything.

Read where a task names no values. It is in the table `probes` under the name `right` and is no line of
evidence: a checkpoint can know that it will fail.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.random_init import random_init_instead
from undertext.core.terms import FIT
from undertext.measures.answers import Answers
from undertext.measures.decoding.controls import RANDOM_SEED
from undertext.measures.decoding.readings import Readings, read_other, read_own, stack_of
from undertext.tasks.task import Task
from undertext.tasks.value_tokens import ValueTokens

NAME = "right"
MIN_SIDE = 8
"""Fewest problems of train that each checkpoint must have right, and wrong."""


def measure_right(
    weaker: Checkpoint,
    stronger: Checkpoint,
    task: Task,
    answers: Mapping[str, tuple[Answers, Answers]],
    points: Sequence[HookPoint],
    *,
    seed: int,
    of_stronger: Task | None = None,
    shared_tokens: bool = True,
) -> Readings | None:
    """Probes for each checkpoint's own correctness at its prompts' last tokens; `transported` reads the
    weaker's with the stronger's probe.

    `answers` are, by split, the weaker's and the stronger's; train and dev are among the splits. None where a
    checkpoint is nearly always right, or wrong, on train.
    """
    weak, strong = (
        {split: torch.from_numpy(both[i].lenient).long() for split, both in answers.items()} for i in range(2)
    )
    if any(torch.bincount(y[FIT], minlength=2).min() < MIN_SIDE for y in (weak, strong)):
        return None
    sites = {split: _ends(weaker, task, split, weak[split]) for split in answers}
    theirs = None
    if of_stronger is not None and of_stronger is not task:
        theirs = {split: _ends(stronger, of_stronger, split, weak[split]) for split in answers}
    out = Readings(sites, {NAME: ["False", "True"]})
    stacks = {"weaker": stack_of(weaker, sites, points)}
    with random_init_instead(weaker, seed=seed + RANDOM_SEED) as nothing:
        stacks["random_init"] = stack_of(nothing, sites, points)
    read_own(out, NAME, weaker, stacks, weak, seed)
    both = {"stronger": stack_of(stronger, theirs or sites, points)}
    if shared_tokens:
        both["weaker"] = stacks["weaker"]
    read_other(out, NAME, both, weak, strong, seed)
    return out


def _ends(checkpoint: Checkpoint, task: Task, split: str, right: Tensor) -> ValueTokens:
    """The last token of each prompt, as a checkpoint reads it, labelled by whether the answer is right."""
    tokens = checkpoint.encode([problem.prompt for problem in task.split(split)])
    n = len(tokens)
    said = [str(bool(value)) for value in right]
    return ValueTokens(tokens, torch.arange(n), [len(ids) - 1 for ids in tokens], [NAME] * n, said)
