"""Controls: they go through the same search as the vectors that they stand beside."""

import random
from dataclasses import dataclass
from typing import Literal, get_args

from undertext.activations.checkpoint import Checkpoint
from undertext.steering import Gate
from undertext.tasks.task import Task

ControlKind = Literal["random directions", "shuffled labels", "random positions", "random features"]
KINDS: tuple[ControlKind, ...] = get_args(ControlKind)
RANDOM, SHUFFLED, ELSEWHERE, ALIKE = "random ", "shuffled: ", "elsewhere: ", "like "
"""Beginnings of the controls' names."""


@dataclass(frozen=True)
class Control:
    """What a control is the control of."""

    kind: ControlKind
    of: str | None = None
    """The vector that the control is made like; None for random directions, which stand beside all."""


def random_positions(weaker: Checkpoint, task: Task, count: int, *, seed: int) -> tuple[Gate, ...]:
    """Up to `count` single tokens, drawn from those that all the task's prompts have before their last one.

    They count from the end, so that a token is at the same distance from what is written in every prompt.
    Empty where some prompt has only one token.
    """
    shortest = min(len(ids) for ids in weaker.encode([problem.prompt for problem in task.problems]))
    places = range(-shortest, -1)
    drawn = random.Random(seed).sample(places, min(count, len(places)))
    return tuple(Gate((index,)) for index in drawn)


def described(gate: Gate) -> str:
    """The tokens at which a setting acts, as one word or a few."""
    at = gate.at
    words = [at if isinstance(at, str) else f"prompt token {', '.join(map(str, at))}"]
    if gate.first is not None:
        words.append(f"first {gate.first}")
    if gate.decay != 1:
        words.append(f"decay {gate.decay:g}")
    if gate.tokens is not None:
        words.append(f"token {' or '.join(map(str, sorted(gate.tokens)))}")
    if gate.pattern is not None:
        words.append(f"after {gate.pattern!r}")
    if gate.threshold is not None:
        words.append(gate.threshold)
    return ", ".join(words)
