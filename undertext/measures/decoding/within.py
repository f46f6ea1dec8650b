"""A checkpoint's probes read elsewhere in it: at other layers and positions, on other problems."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.core.terms import FIT
from undertext.measures.decoding.config import DecodingConfig
from undertext.measures.decoding.groups import BY, Groups, read_groups
from undertext.measures.decoding.kinds import Fitted
from undertext.measures.decoding.positions import Gathered, Located
from undertext.measures.decoding.table import FittedProbes, Row
from undertext.measures.decoding.transfer import Entries, share
from undertext.measures.decoding.values import Value, points_of, values_of


def read_within(
    checkpoint: Checkpoint,
    fitted: FittedProbes,
    located: Located,
    groups: Groups,
    config: DecodingConfig,
    names: tuple[str, str],
) -> list[Row]:
    """Rows of the transfer table within one checkpoint; `names` are its and the task's.

    Across checkpoints these are the rows of a checkpoint on itself. Raises UserError as `read_own`.
    """
    points = points_of(checkpoint, config)
    layers = [point.layer for point in points]
    gathered = Gathered.of_splits(checkpoint, located, points)
    values = values_of(located, config, names[1])
    rows: list[Row] = []
    for value in values:
        at = str(value.position)
        X = {split: each.rows(value.position, value.name) for split, each in gathered.items()}
        for kind in dict.fromkeys(config.probes):
            own = fitted[value.position, value.name, kind]
            for across in dict.fromkeys(config.transfer):
                shared = Entries(across, names[1], config.seed, names[0], value, kind, at)
                if across == "checkpoint":
                    for split in (s for s in located if s != FIT):
                        right, n = share(own.right(X[split], value.y[split])), len(value.y[split])
                        entries = shared._replace(checkpoint=None)
                        rows += entries.layers(names[0], names[0], "accuracy", split, right, n, layers)
                elif across == "layer":
                    for split in (s for s in located if s != FIT):
                        rows += _layers(shared, own, X[split], value.y[split], split, layers)
                elif across == "position":
                    rows += _positions(shared._replace(position=None), own, value, values, gathered, layers)
                elif across in BY:
                    rows += read_groups(across, value, X, kind, own, groups, layers, shared, config)
    return rows


def _layers(
    entries: Entries, own: Fitted, X: Tensor, y: Int[Tensor, " n"], split: str, layers: Sequence[int]
) -> list[Row]:
    rows = []
    for read, activations in zip(layers, X, strict=True):
        right = share(own.right(activations.expand(len(layers), -1, -1), y))
        for fitted, one in zip(layers, right.split(1), strict=True):
            rows += entries.layers(str(fitted), str(read), "accuracy", split, one, len(y), [None])
    return rows


def _positions(
    entries: Entries,
    own: Fitted,
    value: Value,
    values: Sequence[Value],
    gathered: dict[str, Gathered],
    layers: Sequence[int],
) -> list[Row]:
    rows = []
    for other in (each for each in values if each.name == value.name):
        # A position near a text's edge may show fewer classes, and number them otherwise.
        index = {label: i for i, label in enumerate(value.classes)}
        code = torch.tensor([*(index.get(label, -1) for label in other.classes), -1])
        for split in (s for s in gathered if s != FIT):
            y = code[other.y[split]]
            right = share(own.right(gathered[split].rows(other.position, other.name), y))
            ends = str(value.position), str(other.position)
            rows += entries.layers(*ends, "accuracy", split, right, len(y), layers)
    return rows
