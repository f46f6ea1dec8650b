"""The values that are read in a task: their classes at each position, and which problem each row is about."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.hookpoint import HookPoint
from undertext.core.setup import layers_of
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.decoding.config import DecodingConfig, Position
from undertext.measures.decoding.positions import Located, locate_at
from undertext.probes import Labelled
from undertext.tasks.task import Task
from undertext.tasks.value_positions import VALID
from undertext.tasks.value_tokens import MIN_ROWS, ValueTokens, in_groups, readable_values, unread_values


class Value(NamedTuple):
    """A value at a position, as it stands in every split."""

    position: Position
    name: str
    classes: list[str]
    y: dict[str, Int[Tensor, " n"]]
    """Class of each row; -1, which no probe answers, where train never showed the value."""
    problem: dict[str, Int[Tensor, " n"]]
    """Index, in its split, of the problem each row is of."""
    windows: dict[str, list[list[int]]]
    """Tokens of each row's text, up to and with the one at which the value is read."""

    @classmethod
    def of(
        cls, tokens: Mapping[str, ValueTokens], position: Position, name: str, classes: Sequence[str]
    ) -> "Value":
        """The value of this name; `tokens` are those of the position, by split."""
        value = cls(position, name, list(classes), {}, {}, {})
        index = {label: i for i, label in enumerate(classes)}
        for split, each in tokens.items():
            rows = each.rows(name)
            labels = [index.get(each.label[row], -1) for row in rows.tolist()]
            value.y[split] = torch.tensor(labels, dtype=torch.long)
            value.problem[split] = each.problem[rows]
            value.windows[split] = [each.window(row) for row in rows.tolist()]
        return value

    def labelled(self, split: str, X: Float[Tensor, "layer n d"], y: Int[Tensor, " n"]) -> Labelled:
        """The rows of a split with these features and labels."""
        return Labelled(X, y, self.problem[split])


def points_of(checkpoint: Checkpoint, config: DecodingConfig) -> list[HookPoint]:
    """The hook points at which a checkpoint is read."""
    return [
        HookPoint(layer, config.site) for layer in layers_of(checkpoint, config.layers, config.max_layers)
    ]


def splits_to_read(task: Task, named: Sequence[str] | None) -> list[str]:
    """Train, dev and the splits named (None: all); UserError for one the task lacks."""
    wanted = task.splits if named is None else named
    for split in wanted:
        task.split(split)
    return list(dict.fromkeys([FIT, CHOOSE, *wanted]))


def locate(
    checkpoint: Checkpoint, task: Task, splits: Sequence[str], config: DecodingConfig
) -> tuple[Located, dict[str, int]]:
    """Every token at which values of one task are read, and in how many groups by size, by name, a number of
    many values is read. UserError for a split the task lacks.

    Whether a step is valid is a value too where some step is not, and no value of the task has that name.
    """
    steps = [step for problem in task.problems for step in problem.steps]
    validity = not all(step.valid for step in steps) and not any(VALID in step.values for step in steps)
    located = {
        split: locate_at(checkpoint, task.split(split), config.positions, validity=validity)
        for split in splits
    }
    groups: dict[str, int] = {}
    for position in located[FIT]:
        at_position = {split: tokens[position] for split, tokens in located.items()}
        labelled, counts = in_groups(at_position, config.max_classes)
        groups |= counts
        for split, tokens in labelled.items():
            located[split][position] = tokens
    return located, groups


def values_of(located: Located, config: DecodingConfig, task: str) -> list[Value]:
    """The values that can be fitted on train and chosen on dev; other splits may lack a value.

    `task` is its name. Raises UserError when nothing can be read.
    """
    values: list[Value] = []
    unread: dict[str, str] = {}
    for position, fitting in located[FIT].items():
        on_dev = set(located[CHOOSE][position].name)
        at_position = {split: tokens[position] for split, tokens in located.items()}
        values += [
            Value.of(at_position, position, name, classes)
            for name, classes in readable_values(fitting, config.max_classes).items()
            if name in on_dev
        ]
        unread |= unread_values(fitting, config.max_classes)
    if not values:
        why = "; ".join(f"{shown(name)}: {reason}" for name, reason in unread.items())
        raise UserError(
            f"task {task}: no value can be read at {', '.join(map(str, config.positions))}: expected one "
            f"with 2 to {config.max_classes} values, in {MIN_ROWS} places of train and in some of dev, and "
            f"still to be said there; got {why or 'none'}"
        )
    return values
