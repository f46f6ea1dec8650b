"""Routes that are training: reference points beside the others, and never evidence of what was latent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import GateAt, HookPoint
from undertext.activations.interventions import Intervention
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.answers import Answers, Progress, greedy, solved
from undertext.steering import (
    Course,
    Practice,
    copy_with_weights,
    fit_vector,
    mean_norm,
    reinforce_vectors,
    reinforce_weights,
)
from undertext.tasks.draws import drawn
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Problem, Task

FITTED = "bias-only vector, fitted"
BY_REWARD = "a vector a layer, trained by reward"
RLVR = "RLVR, all weights of a copy"
FIT_BATCH = 32
"""Solutions an update of the fitted bias."""
_GRADER = f"the grader, on {FIT}"


@dataclass(frozen=True, eq=False)
class Trained:
    """What training made, as plain tensors: vectors that are added, or the weights of a copy."""

    name: str
    access: str
    """What training was allowed to know."""
    tokens: int
    """Tokens read or sampled in all updates."""
    note: str = ""
    directions: dict[int, Float[Tensor, " d_model"]] | None = None
    """By layer, what is added to `resid_post`."""
    at: GateAt = "last_prompt"
    """The tokens at which the directions are added."""
    weights: dict[str, Tensor] | None = None
    """All weights of the trained copy, in float32."""

    def answers(
        self,
        checkpoint: Checkpoint,
        task: Task,
        problems: Sequence[Problem],
        *,
        batch_size: int,
        progress: Progress | None = None,
    ) -> Answers:
        """Greedy answers of the checkpoint with what training made; the checkpoint stays as it is."""
        learnt = checkpoint if self.weights is None else copy_with_weights(checkpoint, self.weights)
        acting = [
            Intervention(_at(layer), row, 1.0, self.at) for layer, row in (self.directions or {}).items()
        ]
        return greedy(learnt, task, problems, acting=acting, batch_size=batch_size, progress=progress)


def fit_bias(
    checkpoint: Checkpoint,
    task: Task,
    layers: Sequence[int],
    *,
    fit_on: int,
    choose_on: int,
    steps: int,
    seed: int,
    batch_size: int,
    progress: Progress | None = None,
) -> Trained:
    """A bias fitted to solutions of train with the weights frozen, at the layer that does best on dev.

    `fit_on` and `choose_on` are numbers of problems of train and of dev, `steps` the updates at each layer.
    """
    train = drawn(task.split(FIT), seed, fit_on)
    directions = fit_vector(
        checkpoint,
        [problem.prompt for problem in train],
        [solved(problem)[len(problem.prompt) :] for problem in train],
        _norms(checkpoint, train),
        layers=layers,
        steps=steps,
        batch_size=FIT_BATCH,
        seed=seed,
        progress=progress,
    )
    read = sum(map(len, checkpoint.encode([solved(problem) for problem in train])))
    read_all = round(read * steps / ceil(len(train) / FIT_BATCH)) * len(layers)
    fitted = [
        Trained(FITTED, f"solutions of {FIT}", read_all, directions={layer: directions[layer]})
        for layer in layers
    ]
    dev = drawn(task.split(CHOOSE), seed, choose_on)

    def right(trained: Trained) -> float:
        return float(trained.answers(checkpoint, task, dev, batch_size=batch_size).lenient.mean())

    return max(fitted, key=right)


def train_vectors(
    checkpoint: Checkpoint, task: Task, layers: Sequence[int], practice: Practice, *, norms_on: int
) -> Trained:
    """A vector at each of the layers, all added to every token, trained by the grader on `train`.

    `norms_on` is the number of problems of train on which the mean residual norms are measured.
    """
    train = task.split(FIT)
    made = reinforce_vectors(
        checkpoint,
        [problem.prompt for problem in train],
        _reward(task),
        _norms(checkpoint, drawn(train, practice.seed, norms_on)),
        practice,
        layers=layers,
    )
    directions = {layer: made.directions[layer] for layer in layers}
    note = _note(BY_REWARD, made.course)
    return Trained(BY_REWARD, _GRADER, made.course.written, note, directions, "all")


def train_weights(checkpoint: Checkpoint, task: Task, practice: Practice) -> Trained:
    """The weights of a copy of the checkpoint that was trained by the grader on `train`."""
    prompts = [problem.prompt for problem in task.split(FIT)]
    made = reinforce_weights(checkpoint, prompts, _reward(task), practice)
    weights = {name: tensor.cpu() for name, tensor in made.checkpoint.model.state_dict().items()}
    return Trained(RLVR, _GRADER, made.course.written, _note(RLVR, made.course), weights=weights)


def _reward(task: Task) -> Callable[[int, str, bool], float]:
    train, grader = task.split(FIT), OutputGrader(task)
    return lambda row, text, cut: float(grader(text, train[row], cut).lenient)


def _note(name: str, course: Course) -> str:
    """How the reward moved, and where there was nothing to learn from."""
    rewards, steps = course.rewards, len(course.rewards)
    silent = int((course.telling == 0).sum())
    first, last = float(rewards[:5].mean()), float(rewards[-5:].mean())
    note = f"{name}: mean reward {first:.2f} in its first 5 updates, {last:.2f} in its last"
    if not silent:
        return note
    alike = "where all samples of each problem had one reward"
    if silent == steps:
        return f"{note}; no gradient in any of {steps} updates, {alike}: nothing was learnt"
    return f"{note}; no gradient in {silent} of {steps} updates, {alike}"


def _norms(checkpoint: Checkpoint, problems: Sequence[Problem]) -> Float[Tensor, " layer"]:
    points = [_at(layer) for layer in range(checkpoint.n_layers)]
    return mean_norm(capture(checkpoint, [each.prompt for each in problems], points, "last").activations)


def _at(layer: int) -> HookPoint:
    return HookPoint(layer, "resid_post")
