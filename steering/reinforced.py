"""Weights, or vectors with the weights frozen, trained by a verifiable reward: training, and labelled so.

REINFORCE with the mean reward of the other samples of the same prompt as its baseline (leave-one-out:
Kool et al. 2019; for language models Ahmadian et al., arXiv 2402.14740). With the weights it is
reinforcement learning from verifiable rewards; with a vector a layer, added to every token, that of Sinii
et al. (arXiv 2505.18706). One update a sample, so what is sampled is always by what is updated: there is
nothing to clip, and no penalty for moving away.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.batching import batch_tokens_on, out_of_memory, run_batches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint
from undertext.activations.interventions import Intervention
from undertext.activations.sampling import Stopping, end_tokens
from undertext.steering.fitted import frozen, in_turn, log_probabilities, targets_of

Reward = Callable[[int, str, bool], float]
"""`reward(i, text, cut)`: what a text is worth that was written after prompt `i`; `cut` says that it was cut
at `max_new_tokens`."""


@dataclass(frozen=True)
class Practice:
    """How texts are sampled, and how they are learnt from."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    steps: int = 60
    """Updates."""
    samples: int = 8
    """Texts a prompt, which are each other's baseline: at least 2."""
    prompts: int = 32
    """Prompts an update."""
    lr: float = 3e-4
    """Adam's step: of weights as it is, of vectors a share of the mean residual norm."""
    temperature: float = 1.0
    seed: int = 0
    """Of the order of the prompts, and of what is sampled."""
    batch_size: int = 256
    """Rows that are sampled together."""
    progress: Callable[[int], None] | None = None
    """Called with 1 after every update."""

    def __post_init__(self) -> None:
        """Refuse what nothing can be learnt from."""
        for name, least in (("steps", 1), ("samples", 2), ("prompts", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.temperature > 0 or not self.lr > 0:
            raise UserError(
                f"temperature and lr must be above 0, got {self.temperature:g} and {self.lr:g}: "
                "what is sampled must differ"
            )


@dataclass(frozen=True, eq=False)
class Course:
    """How training went."""

    rewards: Float[Tensor, " step"]
    """Mean reward of what was sampled before each update."""
    telling: Float[Tensor, " step"]
    """Share of the prompts whose samples' rewards differ. Where they are all equal, all 0 or all 1, the
    baseline takes everything and there is no gradient; a step at 0 changed nothing."""
    written: int
    """Tokens sampled in all."""


@dataclass(frozen=True, eq=False)
class ReinforcedWeights:
    """What `reinforce_weights` gives."""

    checkpoint: Checkpoint
    """The trained copy, in float32."""
    course: Course


@dataclass(frozen=True, eq=False)
class ReinforcedVectors:
    """What `reinforce_vectors` gives."""

    directions: Float[Tensor, "layer d_model"]
    """At their own length, zeros at layers that were not trained."""
    course: Course


class _Learner(NamedTuple):
    """Who samples, and what is learnt."""

    checkpoint: Checkpoint
    learnt: Sequence[Tensor]
    points: Sequence[HookPoint] = ()
    unit: Tensor | None = None
    """Of vectors: what their entries are shares of, [point, 1]."""

    def vectors(self) -> Float[Tensor, "point d_model"] | None:
        """The vectors that are learnt, if it is vectors."""
        return None if self.unit is None else self.learnt[0] * self.unit


def reinforce_weights(
    checkpoint: Checkpoint, prompts: Sequence[str], reward: Reward, practice: Practice
) -> ReinforcedWeights:
    """A copy of the checkpoint, all of whose weights were trained; the checkpoint is as it was.

    Needs room for the copy, its gradients and two moments, all in float32. Raises UserError for a prompt
    that leaves no room to write, for a model that does not fit in memory so, and for a gradient that is
    not finite.
    """
    try:
        trained = _copied(checkpoint)
        learnt = [each for each in trained.model.parameters() if each.requires_grad]
        course = _train(_Learner(trained, learnt), prompts, reward, practice)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(
            f"{checkpoint.name}: no memory to train a copy of its weights, {16 * _size(checkpoint):.1g} GB"
        ) from error
    trained.model.requires_grad_(False)
    return ReinforcedWeights(trained, course)


def copy_with_weights(checkpoint: Checkpoint, weights: Mapping[str, Tensor]) -> Checkpoint:
    """A copy of the checkpoint in float32 with the weights that `reinforce_weights` trained, by name."""
    copied = _copied(checkpoint)
    copied.model.load_state_dict(weights)
    copied.model.requires_grad_(False)
    return copied


def reinforce_vectors(
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    reward: Reward,
    norms: Float[Tensor, " layer"],
    practice: Practice,
    *,
    layers: Sequence[int] | None = None,
) -> ReinforcedVectors:
    """A vector a layer, all added at once to every token of prompt and text; the weights are frozen.

    `norms` are the mean residual norms at each layer; `layers` those to train at, None all. Raises UserError
    as `reinforce_weights`, and for a layer that is not there.
    """
    chosen = list(range(checkpoint.n_layers)) if layers is None else list(layers)
    points = [HookPoint(layer, "resid_post") for layer in chosen]
    unit = (norms[chosen] / checkpoint.d_model**0.5).to(checkpoint.device)[:, None]
    shares = torch.zeros(len(chosen), checkpoint.d_model, device=checkpoint.device, requires_grad=True)
    with frozen(checkpoint):
        course = _train(_Learner(checkpoint, [shares], points, unit), prompts, reward, practice)
    directions = torch.zeros(checkpoint.n_layers, checkpoint.d_model)
    directions[chosen] = (shares * unit).detach().float().cpu()
    return ReinforcedVectors(directions, course)


def leave_one_out(rewards: Float[Tensor, "prompt sample"]) -> Float[Tensor, "prompt sample"]:
    """Each reward less the mean of the prompt's others."""
    n = rewards.shape[1]
    return (rewards - rewards.mean(1, keepdim=True)) * n / (n - 1)


def _train(learner: _Learner, prompts: Sequence[str], reward: Reward, practice: Practice) -> Course:
    if not prompts:
        raise UserError("expected prompts to train on, got none")
    encoded = learner.checkpoint.encode(prompts, room=practice.max_new_tokens)
    optimiser = torch.optim.Adam(learner.learnt, practice.lr)
    order = in_turn(len(encoded), practice.prompts, practice.seed)
    means, telling, written = [], [], 0
    for step in range(practice.steps):
        rows = next(order)
        pairs, texts, cut = _sampled(learner, [encoded[row] for row in rows], practice, step)
        owner = [row for row in rows for _ in range(practice.samples)]
        rewards = torch.tensor([float(reward(*each)) for each in zip(owner, texts, cut, strict=True)])
        rewards = rewards.reshape(len(rows), practice.samples)
        differ = (rewards != rewards[:, :1]).any(1)
        advantages = leave_one_out(rewards) * differ[:, None]  # none by rounding either
        means.append(float(rewards.mean()))
        telling.append(float(differ.float().mean()))
        written += sum(len(tail) for _, tail in pairs)
        if bool(differ.any()):
            _update(learner, optimiser, pairs, advantages.flatten(), practice)
        if practice.progress is not None:
            practice.progress(1)
    return Course(torch.tensor(means), torch.tensor(telling), written)


def _sampled(
    learner: _Learner, prompts: Sequence[list[int]], practice: Practice, step: int
) -> tuple[list[tuple[list[int], list[int]]], list[str], list[bool]]:
    """Each prompt with the tokens that were chosen after it, the one that ended the text included; texts;
    whether each was cut.

    A stop string's tokens were chosen too, so rows are written without it and cut here.
    """
    who, vectors = learner.checkpoint, learner.vectors()
    acting = (
        None
        if vectors is None
        else [
            Intervention(point, vector, 1.0, "all")
            for point, vector in zip(learner.points, vectors.detach().float().cpu(), strict=True)
        ]
    )
    out = generate(
        who,
        prompts,
        max_new_tokens=practice.max_new_tokens,
        samples=practice.samples,
        temperature=practice.temperature,
        seed=practice.seed * 1_000_003 + step,
        interventions=None if acting is None else [acting] * len(prompts),
        batch_size=practice.batch_size,
    )
    stopping, end = Stopping(who, practice.stop), sorted(end_tokens(who))
    pairs, texts, cut = [], [], []
    for row, produced in enumerate(out.tokens):
        upto = next((k for k in range(1, len(produced) + 1) if stopping.ended(produced[:k])), None)
        cut.append(upto is None and len(produced) == practice.max_new_tokens)
        if upto is None and not cut[-1]:
            produced = [*produced, end[0]]
        chosen = produced[:upto]
        pairs.append((prompts[row // practice.samples], chosen))
        texts.append(stopping.cut(chosen)[1])
    return pairs, texts, cut


def _update(
    learner: _Learner,
    optimiser: torch.optim.Optimizer,
    pairs: Sequence[tuple[list[int], list[int]]],
    advantages: Float[Tensor, " row"],
    practice: Practice,
) -> None:
    """One step up the gradient, its norm clipped at 1, of the mean over rows of advantage * log p(row)."""
    end = end_tokens(learner.checkpoint)
    optimiser.zero_grad(set_to_none=True)
    rows = advantages.nonzero()[:, 0].tolist()
    lengths = [len(pairs[row][0]) + len(pairs[row][1]) for row in rows]

    def add_gradient(some: list[int]) -> None:
        those = [rows[i] for i in some]
        batch = targets_of(learner.checkpoint, [pairs[row] for row in those], "all")
        with torch.enable_grad():
            told = log_probabilities(
                learner.checkpoint,
                batch,
                learner.points,
                learner.vectors(),
                temperature=practice.temperature,
                end=end,
            )
            weights = torch.cat([advantages[row].expand(len(pairs[row][1])) for row in those]).to(told.device)
            gradients = torch.autograd.grad(
                -(weights * told).sum() / len(pairs), learner.learnt, allow_unused=True
            )
        for each, gradient in zip(learner.learnt, gradients, strict=True):
            if gradient is not None:
                each.grad = gradient if each.grad is None else each.grad.add_(gradient)

    run_batches(lengths, batch_tokens_on(learner.checkpoint.device), add_gradient)
    norm = torch.nn.utils.clip_grad_norm_(learner.learnt, 1.0)
    if not bool(norm.isfinite()):
        raise UserError(f"the gradient's norm is {norm.item()}: lower lr ({practice.lr:g})")
    optimiser.step()


def _copied(checkpoint: Checkpoint) -> Checkpoint:
    copied = copy.deepcopy(checkpoint)
    vars(copied).pop("fingerprint", None)  # computed once, and its weights are about to change
    copied.model.float()
    for each in copied.model.parameters():
        each.requires_grad_(each.is_floating_point())
    return copied


def _size(checkpoint: Checkpoint) -> float:
    """Thousand millions of weights."""
    return sum(each.numel() for each in checkpoint.model.parameters()) / 1e9
