"""The tokens at which a task's values are read, their classes, and the activations there."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import tokens_before
from undertext.core.terms import FIT
from undertext.tasks.numbers import parse_number
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import ValuePosition, reading_text, unsaid_positions

MIN_ROWS = 40
"""Fewest rows of `train` a value needs to be read."""
GROUPS = 10
"""Groups by size in which a number of too many values is read."""
FEW_CLASSES, ROWS_A_CLASS = 20, 5
"""A number of more values than this, and of fewer rows of `train` a value, is read in groups too."""


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
    positions_of: Callable[[Problem], list[ValuePosition]] = unsaid_positions,
) -> ValueTokens:
    """The tokens of these problems' values, with the checkpoint's tokenizer.

    `positions_of` gives the characters of a problem's reading text at which values are read: by default those
    where the value is still to be said.
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


def locate_labels(
    checkpoint: Checkpoint, texts: Sequence[str], labels: Sequence[Sequence[tuple[int, str]]], name: str
) -> ValueTokens:
    """The tokens of labels that stand at characters of some texts: each at the last token that ends by then.

    Labels of one text are one problem's. What lies beyond the context is left out.
    """
    tokens, problem, position, label = [], [], [], []
    for i, (text, own) in enumerate(zip(texts, labels, strict=True)):
        ids, at = tokens_before(checkpoint, text, [offset for offset, _ in own])
        tokens.append(ids[: checkpoint.n_ctx])
        for (_, each), token in zip(own, at, strict=True):
            if token < checkpoint.n_ctx:
                problem.append(i)
                position.append(token)
                label.append(each)
    rows = torch.tensor(problem, dtype=torch.long)
    return ValueTokens(tokens, rows, position, [name] * len(position), label)


def in_groups(
    sites: Mapping[str, ValueTokens], max_classes: int
) -> tuple[dict[str, ValueTokens], dict[str, int]]:
    """The tokens, by split, with numbers of too many values labelled by groups of size; and their groups.

    Groups are of like size in train, at most `GROUPS` of them. Whatever is read of such a value, and every
    null, has the groups for classes.
    """
    grouped: dict[str, int] = {}
    labels = {split: list(tokens.label) for split, tokens in sites.items()}
    for name in dict.fromkeys(sites[FIT].name):
        rows = {split: tokens.rows(name).tolist() for split, tokens in sites.items()}
        values = {split: [parse_number(labels[split][row]) for row in own] for split, own in rows.items()}
        fitted = sorted(value for value in values[FIT] if value is not None)
        most = min(max_classes, max(FEW_CLASSES, len(fitted) // ROWS_A_CLASS))
        if len(set(fitted)) <= most or any(None in each for each in values.values()):
            continue
        count = min(GROUPS, max_classes)
        edges = sorted({fitted[len(fitted) * k // count] for k in range(1, count)} - {fitted[0]})
        for split, own in rows.items():
            for row, value in zip(own, values[split], strict=True):
                group = sum(edge <= value for edge in edges if value is not None)
                labels[split][row] = f"group {group}"
        grouped[name] = len(edges) + 1
    return {split: replace(each, label=labels[split]) for split, each in sites.items()}, grouped


def readable_values(tokens: ValueTokens, max_classes: int) -> dict[str, list[str]]:
    """Classes of each value that a classifier can be fitted to: two or more, not too many, seen enough."""
    unread = unread_values(tokens, max_classes)
    return {name: sorted(labels) for name, labels in _counts(tokens).items() if name not in unread}


def unread_values(tokens: ValueTokens, max_classes: int) -> dict[str, str]:
    """By name: why a value cannot be read."""
    unread = {}
    for name, counts in _counts(tokens).items():
        if len(counts) > max_classes:
            unread[name] = f"it has {len(counts)} distinct values, more than max_classes ({max_classes})"
        elif len(counts) < 2:
            unread[name] = "it is the same in all of train"
        elif counts.total() < MIN_ROWS:
            unread[name] = f"it stands in {counts.total()} places of train, fewer than {MIN_ROWS}"
    return unread


def _counts(tokens: ValueTokens) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for name, label in zip(tokens.name, tokens.label, strict=True):
        counts.setdefault(name, Counter())[label] += 1
    return counts
