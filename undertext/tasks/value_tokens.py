"""Where a task's values are read, in which classes, and the activations there."""

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

FIT, CHOOSE = "train", "dev"
"""Splits that probes are fitted on, and that layer and strength are chosen on."""
MIN_ROWS = 40
"""Fewest rows of `train` a value needs to be read."""


@dataclass(frozen=True)
class ValueTokens:
    """Every place at which one named value is read over some problems, in order."""

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
    sites_in: Callable[[Problem], list[ValuePosition]] = value_positions,
) -> ValueTokens:
    """The sites in these problems' reading texts, with the pair's common tokenizer."""
    tokens, problem, position, name, label = [], [], [], [], []
    for i, each in enumerate(problems):
        sites = sites_in(each)
        ids, at = tokens_before(checkpoint, reading_text(each), [site.char_offset for site in sites])
        tokens.append(ids)
        for site, token in zip(sites, at, strict=True):
            problem.append(i)
            position.append(token)
            name.append(site.name)
            label.append(str(site.value))
    return ValueTokens(tokens, torch.tensor(problem, dtype=torch.long), position, name, label)


def readable_values(sites: ValueTokens, max_classes: int) -> dict[str, list[str]]:
    """Classes of each value that a classifier can be fitted to: two or more, not too many, seen enough."""
    found = {}
    for name in dict.fromkeys(sites.name):
        counts = Counter(label for each, label in zip(sites.name, sites.label, strict=True) if each == name)
        if 2 <= len(counts) <= max_classes and counts.total() >= MIN_ROWS:
            found[name] = sorted(counts)
    return found
