"""Whether a checkpoint's activations say that it will be right, before it has said anything.

Read where a task names no values. It is in the table `probes` under the name `right` and is no line of
evidence: a checkpoint can know that it will fail.
"""

from collections.abc import Sequence

import torch

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import CHOOSE, FIT
from undertext.jobs.compare.config import CompareConfig
from undertext.measures.answers import answers
from undertext.measures.decoding.readings import Readings, read_value, stacks_of
from undertext.tasks.task import Task
from undertext.tasks.value_tokens import ValueTokens

NAME = "right"
MIN_SIDE = 8
"""Fewest problems of train that each checkpoint must have right, and wrong."""


def names_no_values(task: Task) -> bool:
    """Whether no problem of the task says what could be read off activations."""
    return not any(p.values or any(step.values for step in p.steps) for p in task.problems)


def measure_right(
    weaker: Checkpoint,
    stronger: Checkpoint,
    task: Task,
    splits: Sequence[str],
    points: Sequence[HookPoint],
    config: CompareConfig,
) -> Readings | None:
    """Probes for each checkpoint's own correctness at its prompts' last tokens; `transported` reads the
    weaker's with the stronger's probe. None where a checkpoint is nearly always right, or wrong, on train."""
    wanted = list(dict.fromkeys([FIT, CHOOSE, *splits]))
    weak, strong = (
        {
            split: torch.from_numpy(answers(checkpoint, task, task.split(split), config).lenient).long()
            for split in wanted
        }
        for checkpoint in (weaker, stronger)
    )
    if any(torch.bincount(y[FIT], minlength=2).min() < MIN_SIDE for y in (weak, strong)):
        return None
    sites = {}
    for split in wanted:
        tokens = weaker.encode([problem.prompt for problem in task.split(split)])
        n = len(tokens)
        said = [str(bool(value)) for value in weak[split]]
        sites[split] = ValueTokens(
            tokens, torch.arange(n), [len(ids) - 1 for ids in tokens], [NAME] * n, said
        )
    out = Readings(sites, {NAME: ["False", "True"]})
    read_value(out, NAME, stacks_of(weaker, stronger, sites, points, config), weak, strong, config)
    return out
