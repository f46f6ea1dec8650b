"""How much of a checkpoint an SAE or a crosscoder keeps, on some texts."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.core.terms import Role
from undertext.measures.features.opening import OpenedSae
from undertext.saes import fidelity, loss_recovered
from undertext.tasks.draws import drawn
from undertext.tasks.task import Task


class Kept(NamedTuple):
    """What is left of one checkpoint; None where it cannot be told."""

    explained_variance: float | None
    """Share of the variance of the activations: 1 less squared error over squares about the mean row."""
    loss_recovered: float | None
    """Share of the model's loss (`LossRecovered.recovered_from_mean`): 1 where the reconstruction costs
    nothing, 0 where it costs as much as the activations' mean. None of a crosscoder."""


def sae_keeps(
    opened: OpenedSae,
    checkpoint: Checkpoint,
    tokens: Sequence[list[int]],
    activations: Float[Tensor, "n d_model"],
    scale: float,
) -> Kept:
    """What an SAE keeps of a checkpoint, on texts as token ids and the `activations` of all their tokens,
    which are multiplied by `scale` first."""
    varied = len(activations) > 1 and bool((activations != activations[0]).any())
    loss = None
    if any(len(ids) > 1 for ids in tokens):
        loss = loss_recovered(opened.sae, checkpoint, tokens, opened.point, scale=scale).recovered_from_mean
    return Kept(fidelity(opened.sae, activations * scale).explained_variance if varied else None, loss)


def poorly_kept(kept: Mapping[Role, Kept], least: float) -> list[str]:
    """What is kept of each checkpoint, in words, where some figure of it is below `least`."""
    said = []
    for role, each in kept.items():
        figures = {
            "of the variance of the activations": each.explained_variance,
            "of the loss": each.loss_recovered,
        }
        if low := [
            f"{value:.2f} {of}" for of, value in figures.items() if value is not None and value < least
        ]:
            said.append(f"{' and '.join(low)} of the {role}")
    return said


def some_problems(task: Task, splits: Sequence[str], seed: int, count: int) -> Task:
    """The task with no more than `count` problems of each of these splits, and no others."""
    problems = [each for split in dict.fromkeys(splits) for each in drawn(task.split(split), seed, count)]
    return task.model_copy(update={"problems": problems})
