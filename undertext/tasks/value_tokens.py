"""The tokens at which a task's values are read, their classes, and the activations there."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import tokens_before
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import ValuePosition, reading_text, value_positions

MIN_ROWS = 40
"""Fewest rows of `train` a value needs to be read."""


@dataclass(frozen=True)
class ValueTokens:
    """Every token at which a value of some problems is read, a row each, in order of the problems."""

    tokens: list[list[int]]
    """Of each problem's reading text."""
    problem: Int[Tensor, " row"]
    """Index of the problem each row is of."""
    position: list[int]
    """Index of the token each row is read at."""
    name: list[str]
    """Of the value each row holds."""
    label: list[str]
    """The value itself, as text."""

    def rows(self, name: str) -> Int[Tensor, " n"]:
        """Rows that hold the value of this name."""
        return torch.tensor([i for i, each in enumerate(self.name) if each == name], dtype=torch.long)

    def window(self, row: int) -> list[int]:
        """Tokens of the row's text up to and with where it is read."""
        return self.tokens[int(self.problem[row])][: self.position[row] + 1]

    def activations(
        self, checkpoint: Checkpoint, points: Sequence[HookPoint]
    ) -> Float[Tensor, "point row d_model"]:
        """What `checkpoint` has at every row. Tokens are shared, so rows of two checkpoints are aligned."""
        per_problem: list[list[int]] = [[] for _ in self.tokens]
        for problem, position in zip(self.problem.tolist(), self.position, strict=True):
            per_problem[problem].append(position)
        return capture(checkpoint, self.tokens, points, per_problem).activations


def locate_values(
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    positions_of: Callable[[Problem], list[ValuePosition]] = value_positions,
) -> ValueTokens:
    """The tokens of these problems' values, with the checkpoint's tokenizer.

    `positions_of` gives the characters of a problem's reading text at which values are read.
    """
    tokens, problem, position, name, label = [], [], [], [], []
    for i, each in enumerate(problems):
        positions = positions_of(each)
        ids, at = tokens_before(checkpoint, reading_text(each), [value.char_offset for value in positions])
        tokens.append(ids)
        for value, token in zip(positions, at, strict=True):
            problem.append(i)
            position.append(token)
            name.append(value.name)
            label.append(str(value.value))
    return ValueTokens(tokens, torch.tensor(problem, dtype=torch.long), position, name, label)


def readable_values(tokens: ValueTokens, max_classes: int) -> dict[str, list[str]]:
    """Classes of each value that a classifier can be fitted to: two or more, not too many, seen enough."""
    classes = {}
    for name in dict.fromkeys(tokens.name):
        counts = Counter(label for each, label in zip(tokens.name, tokens.label, strict=True) if each == name)
        if 2 <= len(counts) <= max_classes and counts.total() >= MIN_ROWS:
            classes[name] = sorted(counts)
    return classes
