"""Routes that are training: reference points beside the others, and never evidence of what was latent."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.interventions import Intervention
from undertext.jobs.routes.config import RoutesConfig
from undertext.measures.recovery.routes import Outcome, Progress, greedy, solved
from undertext.steering import (
    Course,
    Practice,
    fit_vector,
    mean_norm,
    reinforce_vectors,
    reinforce_weights,
)
from undertext.tasks.grade import grade
from undertext.tasks.task import Problem, Task

FITTED = "bias-only vector, fitted"
BY_REWARD = "a vector a layer, trained by reward"
RLVR = "RLVR, all weights of a copy"
FIT_BATCH = 32
"""Solutions an update of the fitted bias."""
_GRADER = "the grader, on train"


@dataclass(frozen=True, eq=False)
class Trained:
    """What training made: a checkpoint, with what is added to it."""

    name: str
    checkpoint: Checkpoint
    acting: tuple[Intervention, ...]
    knows: str
    tokens: int
    """Read or sampled in all updates."""
    note: str = ""

    def outcome(
        self, task: Task, problems: Sequence[Problem], config: RoutesConfig, done: Progress | None = None
    ) -> Outcome:
        """Its greedy answers, graded."""
        right, written = greedy(self.checkpoint, task, problems, config, done, acting=self.acting)
        return Outcome(self.name, "training", right, written, self.knows, self.tokens)


def fit_bias(
    checkpoint: Checkpoint,
    task: Task,
    layers: Sequence[int],
    config: RoutesConfig,
    done: Progress | None = None,
) -> Trained:
    """A bias fitted to `train`'s solutions with the weights frozen, at the layer that does best on dev."""
    train = task.split("train")[: config.vector_problems]
    targets = [solved(problem)[len(problem.prompt) :] for problem in train]
    directions = fit_vector(
        checkpoint,
        [problem.prompt for problem in train],
        targets,
        _norms(checkpoint, train),
        layers=layers,
        steps=config.fit_steps,
        batch_size=FIT_BATCH,
        seed=config.seed,
        progress=done,
    )
    dev = task.split("dev")[: config.search_problems]
    tried = {layer: (Intervention(_at(layer), directions[layer], 1.0),) for layer in layers}
    right = {
        layer: greedy(checkpoint, task, dev, config, acting=acting)[0] for layer, acting in tried.items()
    }
    best = max(layers, key=lambda layer: float(right[layer].mean()))
    read = sum(map(len, checkpoint.encode([solved(problem) for problem in train])))
    read_all = round(read * config.fit_steps / ceil(len(train) / FIT_BATCH)) * len(layers)
    return Trained(FITTED, checkpoint, tried[best], "solutions of train", read_all)


def train_vectors(
    checkpoint: Checkpoint,
    task: Task,
    layers: Sequence[int],
    config: RoutesConfig,
    done: Progress | None = None,
) -> Trained:
    """A vector at each of the layers, all added to every token, trained by the grader on `train`."""
    train = task.split("train")
    made = reinforce_vectors(
        checkpoint,
        [problem.prompt for problem in train],
        lambda row, text: float(grade(task.grader, text, train[row].answer).lenient),
        _norms(checkpoint, train[: config.vector_problems]),
        _practice(task, config, config.vector_lr, done),
        layers=layers,
    )
    acting = tuple(Intervention(_at(layer), made.directions[layer], 1.0, "all") for layer in layers)
    return Trained(BY_REWARD, checkpoint, acting, _GRADER, made.course.written, _note(BY_REWARD, made.course))


def train_weights(
    checkpoint: Checkpoint, task: Task, config: RoutesConfig, done: Progress | None = None
) -> Trained:
    """A copy of the checkpoint whose weights were trained by the grader on `train`."""
    train = task.split("train")
    made = reinforce_weights(
        checkpoint,
        [problem.prompt for problem in train],
        lambda row, text: float(grade(task.grader, text, train[row].answer).lenient),
        _practice(task, config, config.rlvr_lr, done),
    )
    return Trained(RLVR, made.checkpoint, (), _GRADER, made.course.written, _note(RLVR, made.course))


def _note(name: str, course: Course) -> str:
    """What the reward did, and where there was nothing to learn from."""
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


def _practice(task: Task, config: RoutesConfig, lr: float, done: Progress | None) -> Practice:
    return Practice(
        task.max_new_tokens,
        tuple(task.stop),
        steps=config.rlvr_steps,
        samples=config.budget,
        prompts=config.rlvr_prompts,
        lr=lr,
        temperature=config.temperature,
        seed=config.seed,
        batch_size=config.batch_size,
        progress=done,
    )


def _norms(checkpoint: Checkpoint, problems: Sequence[Problem]) -> Float[Tensor, " layer"]:
    points = [_at(layer) for layer in range(checkpoint.n_layers)]
    return mean_norm(capture(checkpoint, [each.prompt for each in problems], points, "last").activations)


def _at(layer: int) -> HookPoint:
    return HookPoint(layer, "resid_post")
