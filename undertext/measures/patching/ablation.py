"""Ablation: accuracy of a checkpoint without a subspace, beside random subspaces."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import GateAt, HookPoint
from undertext.activations.spans import TokenSpan
from undertext.core.terms import FIT
from undertext.probes import centre_patches, patch_subspace, random_subspaces
from undertext.tasks.draws import drawn
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Task, fill
from undertext.tasks.value_positions import reading_text


@dataclass(frozen=True)
class Ablation:
    """Whether each problem is answered right (leniently), in the order of the split."""

    nothing: Bool[ndarray, " n"]
    """Without intervention."""
    subspace: Bool[ndarray, " n"]
    random: Bool[ndarray, "draw n"]
    """With random subspaces of the same size taken out instead."""


def measure_ablation(
    checkpoint: Checkpoint,
    task: Task,
    split: str,
    point: HookPoint,
    basis: Float[Tensor, "k d_model"],
    *,
    at: GateAt = "generated",
    centre: Float[Tensor, " d_model"] | None = None,
    draws: int = 5,
    most: int = 120,
    template: str = "{prompt}",
    seed: int = 0,
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Ablation:
    """Fix the activation's part in the span of `basis` to the mean's while the model answers.

    Args:
        checkpoint: what is looked into.
        task: gives problems and grades.
        split: what is reported on.
        point: where the subspace is.
        basis: rows that span it.
        at: at which tokens it is fixed.
        centre: the activation whose part is put there; None for `mean_activation` of train.
        draws: random subspaces of the same number of dimensions.
        most: problems that are looked at.
        template: around the prompt.
        seed: of the random subspaces.
        batch_size: rows that are generated together.
        progress: called with rows finished since its last call.

    Raises:
        UserError: for a split the task lacks and a basis that does not fit the hook point.
    """
    chosen = {problem.id for problem in drawn(task.split(split), seed, most)}
    problems = [problem for problem in task.split(split) if problem.id in chosen]
    centre = mean_activation(checkpoint, task, point) if centre is None else centre
    rank = int(torch.linalg.matrix_rank(basis.float()))
    others = random_subspaces(draws, max(rank, 1), checkpoint.width(point), seed=seed + 1)

    grader = OutputGrader(task)

    def grades(i: int, text: str, cut: bool) -> tuple[bool, ...]:
        return (grader(text, problems[i], cut).lenient,)

    centres = {point: centre.expand(len(problems), -1)}
    changed = patch_subspace(
        checkpoint,
        checkpoint.encode([fill(template, problem.prompt) for problem in problems], room=task.max_new_tokens),
        centre_patches(centres, at=at, count=len(problems)),
        [{}, {point: basis}, *({point: each} for each in others)],
        grades,
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        batch_size=batch_size,
        progress=progress,
    )
    right: Bool[ndarray, "setting n"] = np.asarray(changed.is_[..., 0])
    return Ablation(right[0], right[1], right[2:])


def mean_activation(
    checkpoint: Checkpoint, task: Task, point: HookPoint, split: str = FIT
) -> Float[Tensor, " d_model"]:
    """The mean over all tokens of the split's reading texts, but for each text's first.

    Many models keep an activation of enormous size at the first token, whatever it is.
    """
    texts = checkpoint.encode([reading_text(problem) for problem in task.split(split)])
    wanted = [[TokenSpan(1)] if len(ids) > 1 else [] for ids in texts]
    return capture(checkpoint, texts, [point], wanted)[point].mean(0)
