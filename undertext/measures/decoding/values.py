"""What a job reads in a task: its values at each position, and which problem each row is about."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.core.setup import layers_of
from undertext.core.terms import CHOOSE, FIT
from undertext.jobs.probe.config import Position, ProbeConfig
from undertext.measures.decoding.positions import places_of
from undertext.measures.decoding.readings import labels_of
from undertext.probes import Labelled
from undertext.tasks.task import Task
from undertext.tasks.value_positions import VALID
from undertext.tasks.value_tokens import MIN_ROWS, ValueTokens, readable_values

Places = Mapping[str, Mapping[Position, ValueTokens]]
"""By split."""


class Value(NamedTuple):
    """A value at a position, as it stands in every split."""

    position: Position
    name: str
    classes: list[str]
    y: dict[str, Int[Tensor, " n"]]
    """Class of each row; -1 where train never showed the value."""
    problem: dict[str, Int[Tensor, " n"]]
    """Index, in its split, of the problem each row is of."""
    windows: dict[str, list[list[int]]]
    """Tokens of each row's text, up to and with where it is read."""

    def labelled(self, split: str, X: Float[Tensor, "layer n d"], y: Int[Tensor, " n"]) -> Labelled:
        """The rows of a split, seen as `X`, with these labels."""
        return Labelled(X, y, self.problem[split])


def points_of(checkpoint: Checkpoint, config: ProbeConfig) -> list[HookPoint]:
    """Where a checkpoint is read."""
    return [
        HookPoint(layer, config.site) for layer in layers_of(checkpoint, config.layers, config.max_layers)
    ]


def splits_of(task: Task, config: ProbeConfig) -> list[str]:
    """Train, dev and the splits to report; UserError for one the task lacks."""
    wanted = task.splits if config.splits is None else config.splits
    for split in wanted:
        task.split(split)
    return list(dict.fromkeys([FIT, CHOOSE, *wanted]))


def places_at(checkpoint: Checkpoint, task: Task, config: ProbeConfig) -> Places:
    """Every site of a job in one task; UserError for a split the task lacks.

    Whether a step is valid is read where some step is not, and no value of the task has that name.
    """
    positions = list(dict.fromkeys(config.positions))
    steps = [step for problem in task.problems for step in problem.steps]
    judged = not all(step.valid for step in steps) and not any(VALID in step.values for step in steps)
    return {
        split: places_of(checkpoint, task.split(split), positions, judged=judged)
        for split in splits_of(task, config)
    }


def values_at(places: Places, config: ProbeConfig, task: str) -> list[Value]:
    """What can be fitted on train and chosen on dev; splits that do not hold a value go without it.

    `task` is its name. Raises UserError when nothing can be read.
    """
    found = []
    for position, fitting in places[FIT].items():
        on_dev = set(places[CHOOSE][position].name)
        for name, classes in readable_values(fitting, config.max_classes).items():
            if name in on_dev:
                found.append(_value(places, position, name, classes))
    if not found:
        raise UserError(
            f"task {task}: no value can be read at {', '.join(map(str, config.positions))}: each needs 2 to "
            f"{config.max_classes} classes, {MIN_ROWS} problems of train that hold it, and some of dev"
        )
    return found


def _value(places: Places, position: Position, name: str, classes: list[str]) -> Value:
    value = Value(position, name, classes, {}, {}, {})
    for split, each in places.items():
        sites = each[position]
        rows = sites.rows(name)
        value.y[split] = labels_of(sites, rows, classes)
        value.problem[split] = sites.problem[rows]
        value.windows[split] = [sites.window(int(row)) for row in rows]
    return value
