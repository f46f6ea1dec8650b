"""The vectors that a task and a pair offer to a steering search, and what each was allowed to know."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import FIT, Access, ControlKind
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.feature_vectors import ALIKE, FeatureVectors, feature_vectors
from undertext.measures.recovery.gates import resolve_gates
from undertext.saes.sae_type import SAE
from undertext.steering import (
    Gate,
    Readout,
    SteeringVector,
    difference_of_means,
    mean_norm,
    means_of_written,
    random_directions,
    shuffled_labels,
)
from undertext.tasks.draws import drawn, seeds
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Problem, Task

DELTA = "checkpoint delta"
RANDOM, SHUFFLED, ELSEWHERE = "random ", "shuffled: ", "elsewhere: "
"""Beginnings of the controls' names."""
TAKEN = (RANDOM, SHUFFLED, ELSEWHERE, ALIKE, "rollouts, ")
"""Beginnings of the names of vectors that no task's contrast may take."""
ROLLOUTS = 4
"""Sampled answers a problem, where vectors come from rollouts."""
MIN_SIDE = 8
"""Fewest rollouts on either side of a split of them for a vector to be taken."""


@dataclass(frozen=True)
class Control:
    """What a control stands beside; it goes through the same search as the vectors."""

    kind: ControlKind
    of: str | None = None
    """The vector that the control is made like; None for random directions, which stand beside all."""


@dataclass(frozen=True)
class CandidateVectors:
    """Vectors over every layer of the weaker checkpoint, controls among them."""

    vectors: tuple[SteeringVector, ...]
    access: dict[str, Access]
    """By vector, its access level."""
    notes: list[str]
    """What could not be made, and why."""
    controls: dict[str, Control]
    """Which of the vectors, by name, are controls."""
    gates: dict[str, tuple[Gate, ...]]
    """By vector, the tokens at which it is tried."""
    thresholds: dict[str, Readout]
    """Thresholds that the gates name."""
    features: tuple[str, ...] = ()
    """Names of the vectors that are features of an SAE."""


Sides = tuple[Float[Tensor, "layer n d_model"], Float[Tensor, "layer m d_model"]]
"""Activations with a label and without."""


def candidate_vectors(
    weaker: Checkpoint,
    stronger: Checkpoint | None,
    task: Task,
    config: SearchConfig,
    given: Sequence[SteeringVector] = (),
    sae: SAE | None = None,
    of_stronger: Task | None = None,
) -> CandidateVectors:
    """Every vector of this task: contrasts (without any, rollouts) and checkpoint delta, and their controls.

    All are read at `resid_post` of every layer, at the last token of at most `vector_problems` training
    prompts; rollouts at the mean over the generated tokens. For each of them there is one of the same
    activations with labels drawn anew, and itself at random positions; for all, random directions. What
    needs a stronger checkpoint is left out where there is none. What is `given` gets random positions, and
    so do the features of an `sae`, each beside random features like it. `of_stronger` is the task as the
    stronger reads it, where that is another.
    """
    problems = drawn(task.split(FIT), config.seed, config.vector_problems)
    points = [HookPoint(layer, "resid_post") for layer in range(weaker.n_layers)]
    theirs = drawn((of_stronger or task).split(FIT), config.seed, config.vector_problems)
    prompts = [problem.prompt for problem in problems]

    def at_end(checkpoint: Checkpoint, texts: Sequence[str]) -> Float[Tensor, "layer n d_model"]:
        return capture(checkpoint, list(texts), points, "last").activations

    plain = at_end(weaker, prompts)
    norms = mean_norm(plain)
    vectors: list[SteeringVector] = []
    access: dict[str, Access] = {}
    notes: list[str] = []
    controls: dict[str, Control] = {}

    def offer(vector: SteeringVector, level: Access, control: Control | None = None) -> None:
        vectors.append(vector)
        access[vector.name] = level
        if control is not None:
            controls[vector.name] = control

    labelled: list[tuple[SteeringVector, Access, Sides]] = []

    def label(name: str, level: Access, made: str, sides: Sides, *of: Checkpoint) -> None:
        sources = tuple(each.name for each in of)
        vector = SteeringVector(name, difference_of_means(*sides), norms, made, sources=sources)
        offer(vector, level)
        labelled.append((vector, level, sides))

    for contrast in task.contrasts:
        if contrast.name == DELTA or contrast.name.startswith(TAKEN):
            raise UserError(
                f"a contrast of task {task.name!r} is named {contrast.name!r}, which is the name of "
                "a vector every comparison has; choose another"
            )
        read: list[tuple[Checkpoint, Sequence[Problem], str, Access]] = [
            (weaker, problems, contrast.name, "weaker only")
        ]
        if stronger is not None:
            read.append((stronger, theirs, f"{contrast.name} of the stronger", "stronger's activations"))
        for checkpoint, asked, name, level in read:
            positive, negative = (
                at_end(checkpoint, [problem.worded(side) for problem in asked])
                for side in (contrast.positive, contrast.negative)
            )
            made = "difference of means between a contrast's prompts"
            label(name, level, made, (positive, negative), checkpoint)
    if not task.contrasts and task.grader.kind == "likelihood":
        notes.append("rollouts: none, since the task's answers are chosen by likelihood and not written")
    elif not task.contrasts:
        for name, sides in _from_rollouts(weaker, task, problems, points, config, notes).items():
            label(name, "weaker only", "difference of means between sampled rollouts", sides, weaker)
    if stronger is not None:
        delta = (at_end(stronger, [problem.prompt for problem in theirs]), plain)
        made = "mean of the stronger less the weaker"
        label(DELTA, "stronger's activations", made, delta, weaker, stronger)
    features = (
        FeatureVectors((), {}, ()) if sae is None else feature_vectors(sae, weaker, task, config, norms)
    )
    notes += features.notes
    for vector in [*features.vectors, *given]:
        if vector.name in access or vector.name.startswith(TAKEN):
            raise UserError(f"a vector of its own is named {vector.name!r} already; choose another name")
        # What cannot be told counts as knowing more.
        offer(vector, "weaker only" if set(vector.sources) == {weaker.name} else "stronger's activations")
    elsewhere = random_positions(weaker, task, len(config.positions), seed=config.seed * 1013 + 7)
    if len(elsewhere) < len(config.positions):
        notes.append(
            f"random positions: {len(elsewhere)} instead of {len(config.positions)}, the shortest prompt has "
            f"{len(elsewhere) + 1} tokens"
        )
    for k, (vector, level, sides) in enumerate(labelled):
        directions = shuffled_labels(difference_of_means, *sides, seed=config.seed * 1021 + k, balanced=True)
        shuffled = replace(
            vector,
            name=f"{SHUFFLED}{vector.name}",
            directions=directions,
            made=f"{vector.made}, labels shuffled",
        )
        offer(shuffled, level, Control("shuffled labels", vector.name))
    for vector in [*(each for each, _, _ in labelled), *features.vectors, *given] if elsewhere else []:
        moved = replace(vector, name=f"{ELSEWHERE}{vector.name}")
        offer(moved, access[vector.name], Control("random positions", vector.name))
    for name, others in features.alike.items():
        for vector in others:
            offer(vector, access[name], Control("random features", name))
    for k in range(config.random_directions):
        directions = random_directions(len(points), weaker.d_model, seed=config.seed * 1009 + k)
        vector = SteeringVector(f"{RANDOM}{k + 1}", directions, norms, "random directions")
        offer(vector, "none", Control("random directions"))
    placed = [name for name, control in controls.items() if control.kind == "random positions"]
    usual = [vector for vector in vectors if vector.name not in placed]
    resolved = resolve_gates(weaker, prompts, usual, config.positions, access)
    gates = resolved.gates | dict.fromkeys(placed, elsewhere)
    known = {name: resolved.access.get(name, level) for name, level in access.items()}
    names = tuple(vector.name for vector in features.vectors)
    return CandidateVectors(tuple(vectors), known, notes, controls, gates, resolved.thresholds, names)


def _from_rollouts(
    weaker: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    points: Sequence[HookPoint],
    config: SearchConfig,
    notes: list[str],
) -> dict[str, Sides]:
    """Sampled rollouts in two ways: right and wrong, and longer and shorter (reasoning takes tokens).

    A side with too few rollouts gives a note instead.
    """
    repeated = [problem for problem in problems for _ in range(ROLLOUTS)]
    out = generate(
        weaker,
        [problem.prompt for problem in problems],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=ROLLOUTS,
        temperature=config.temperature,
        seed=seeds(problems, config.seed + 31),
        batch_size=config.batch_size,
    )
    written = [i for i, tokens in enumerate(out.tokens) if tokens]
    if not written:
        notes.append("rollouts: every sampled answer was empty")
        return {}
    heads = weaker.encode([repeated[i].prompt for i in written])
    texts = [head + out.tokens[i] for head, i in zip(heads, written, strict=True)]
    means = means_of_written(weaker, texts, [len(head) for head in heads], points)
    grader = OutputGrader(task)
    right = torch.tensor([grader(out.texts[i], repeated[i], out.cut[i]).lenient for i in written])
    length = torch.tensor([len(out.tokens[i]) for i in written]).float()
    longer = length > (length.min() + length.max()) / 2
    split: dict[str, Sides] = {}
    for name, side in (("rollouts, right", right), ("rollouts, longer", longer)):
        if min(int(side.sum()), int((~side).sum())) < MIN_SIDE:
            notes.append(
                f"{name}: {int(side.sum())} rollouts against {int((~side).sum())}, too few on a side"
            )
            continue
        split[name] = (means[:, side], means[:, ~side])
    return split


def random_positions(weaker: Checkpoint, task: Task, count: int, *, seed: int) -> tuple[Gate, ...]:
    """Up to `count` single tokens, drawn from those that all the task's prompts have before their last one.

    They count from the end, so that a token is at the same distance from what is written in every prompt.
    Empty where some prompt has only one token.
    """
    shortest = min(len(ids) for ids in weaker.encode([problem.prompt for problem in task.problems]))
    places = range(-shortest, -1)
    drawn = random.Random(seed).sample(places, min(count, len(places)))
    return tuple(Gate((index,)) for index in drawn)
