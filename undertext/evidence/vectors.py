"""The vectors a task and a pair offer, and what each was allowed to know of the stronger checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from activations.capture import capture
from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.generation import generate
from activations.hookpoint import HookPoint
from steering import (
    SteeringVector,
    checkpoint_delta,
    difference_by_label,
    difference_of_means,
    mean_norm,
    means_of_written,
    random_directions,
)
from undertext.comparison import Oracle
from undertext.config import CompareConfig
from undertext.tasks.grade import grade
from undertext.tasks.task import Problem, Task, fill

DELTA = "checkpoint delta"
TAKEN = ("random ", "rollouts, ")
"""Beginnings of the names of vectors that no task's contrast may take."""
ROLLOUTS = 4
"""Sampled answers a problem, where vectors come from rollouts."""
MIN_SIDE = 8
"""Fewest rollouts on either side of a split of them for a vector to be taken."""


@dataclass(frozen=True)
class Offered:
    """Vectors over every layer of the weaker checkpoint, with their oracle rungs."""

    vectors: tuple[SteeringVector, ...]
    oracles: dict[str, Oracle]
    notes: list[str]
    """What could not be made, and why."""


def offered_vectors(weaker: Checkpoint, stronger: Checkpoint, task: Task, config: CompareConfig) -> Offered:
    """Every vector of this task: contrasts (without any, rollouts), checkpoint delta, random directions.

    All are read at `resid_post` of every layer, at the last token of at most `vector_problems` training
    prompts; rollouts at the mean over the generated tokens.
    """
    problems = task.split("train")[: config.vector_problems]
    points = [HookPoint(layer, "resid_post") for layer in range(weaker.n_layers)]
    prompts = [problem.prompt for problem in problems]

    def at_end(checkpoint: Checkpoint, texts: Sequence[str]) -> Float[Tensor, "layer n d_model"]:
        return capture(checkpoint, list(texts), points, "last").activations

    plain = at_end(weaker, prompts)
    norms = mean_norm(plain)
    vectors: list[SteeringVector] = []
    oracles: dict[str, Oracle] = {}
    notes: list[str] = []

    def offer(
        name: str, oracle: Oracle, made: str, directions: Float[Tensor, "layer d_model"], *of: Checkpoint
    ) -> None:
        vectors.append(SteeringVector(name, directions, norms, made, sources=tuple(each.name for each in of)))
        oracles[name] = oracle

    for contrast in task.contrasts:
        if contrast.name == DELTA or contrast.name.startswith(TAKEN):
            raise UserError(
                f"a contrast of task {task.name!r} is named {contrast.name!r}, which is the name of "
                "a vector every comparison has; choose another"
            )
        read: tuple[tuple[Checkpoint, str, Oracle], ...] = (
            (weaker, contrast.name, "weaker only"),
            (stronger, f"{contrast.name} of the stronger", "stronger's activations"),
        )
        for checkpoint, name, oracle in read:
            sides = [
                [fill(side, prompt) for prompt in prompts] for side in (contrast.positive, contrast.negative)
            ]
            means = difference_of_means(*(at_end(checkpoint, side) for side in sides))
            offer(name, oracle, "difference of means between a contrast's prompts", means, checkpoint)
    if not task.contrasts:
        for name, vector in _from_rollouts(weaker, task, problems, points, config, notes).items():
            offer(name, "weaker only", "difference of means between sampled rollouts", vector, weaker)
    delta = checkpoint_delta(at_end(stronger, prompts), plain)
    offer(DELTA, "stronger's activations", "mean of the stronger less the weaker", delta, weaker, stronger)
    for k in range(config.random_directions):
        directions = random_directions(len(points), weaker.d_model, seed=config.seed * 1009 + k)
        offer(f"random {k + 1}", "none", "random directions", directions)
    return Offered(tuple(vectors), oracles, notes)


def _from_rollouts(
    weaker: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    points: Sequence[HookPoint],
    config: CompareConfig,
    notes: list[str],
) -> dict[str, Float[Tensor, "layer d_model"]]:
    """Differences of means between sampled rollouts: right less wrong, and longer less shorter (reasoning
    takes tokens). A side with too few rollouts gives no vector, and a note."""
    repeated = [problem for problem in problems for _ in range(ROLLOUTS)]
    out = generate(
        weaker,
        [problem.prompt for problem in problems],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=ROLLOUTS,
        temperature=config.temperature,
        seed=config.seed + 31,
        batch_size=config.batch_size,
    )
    written = [i for i, tokens in enumerate(out.tokens) if tokens]
    if not written:
        notes.append("rollouts: every sampled answer was empty")
        return {}
    heads = weaker.encode([repeated[i].prompt for i in written])
    texts = [head + out.tokens[i] for head, i in zip(heads, written, strict=True)]
    means = means_of_written(weaker, texts, [len(head) for head in heads], points)
    right = torch.tensor([grade(task.grader, out.texts[i], repeated[i].answer).lenient for i in written])
    length = torch.tensor([len(out.tokens[i]) for i in written]).float()
    longer = length > (length.min() + length.max()) / 2
    vectors = {}
    for name, side in (("rollouts, right", right), ("rollouts, longer", longer)):
        if min(int(side.sum()), int((~side).sum())) < MIN_SIDE:
            notes.append(
                f"{name}: {int(side.sum())} rollouts against {int((~side).sum())}, too few on a side"
            )
            continue
        vectors[name] = difference_by_label(means, side)
    return vectors
