"""A label read off activations row by row, beside its nulls: by probes of all rows, or of other groups'.

Every null goes through the same search as the label: fitted on train, strength and layer chosen on dev.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.random_init import random_init_instead
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.decoding.config import Control, DecodingConfig, Position
from undertext.measures.decoding.controls import RANDOM_SEED, Arm, arms_of
from undertext.measures.decoding.groups import enough_rows, rows_of
from undertext.measures.decoding.positions import Gathered
from undertext.measures.decoding.readings import fit_arm
from undertext.measures.decoding.values import Value
from undertext.tasks.value_tokens import ValueTokens, unread_values

BESIDE: tuple[Control, ...] = ("control", "shuffled", "random_init", "surface")
CHANCE = "chance"
"""The null that names the commonest class of the rows that are fitted."""
OWN = "none"
"""The label itself, among the sources."""
Groups = Mapping[str, Sequence[str | None]]
"""By split: the group of each text."""


@dataclass(frozen=True, eq=False)
class Beside:
    """What was read at the rows of one split."""

    problem: Int[ndarray, " row"]
    """Index of each row's text in its split."""
    label: list[str]
    right: dict[str, Float[ndarray, " row"]]
    """By source (`OWN`, `BESIDE` and `CHANCE`): the share of its probes, one a draw, that read the
    row right; NaN of a row that no probe may read, or that this null could not be fitted for."""
    layer: int | None
    """The layer that the label's probe of all rows was chosen at; None where groups are held out."""

    def per_text(self, source: str, texts: int) -> Float[ndarray, " text"]:
        """The mean over each text's rows; NaN of a text without one."""
        known = ~np.isnan(self.right[source])
        total = np.bincount(self.problem[known], self.right[source][known], minlength=texts)
        count = np.bincount(self.problem[known], minlength=texts)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def cannot_be_read(tokens: Mapping[str, ValueTokens], name: str, classes: int) -> str | None:
    """Why a label of so many classes cannot be read; None where it can."""
    unread = unread_values(tokens[FIT], classes)
    if name not in tokens[FIT].name:
        return "train has it nowhere"
    if name in unread:
        return unread[name]
    return None if name in tokens[CHOOSE].name else "dev has it nowhere, and layers are chosen there"


def read_beside(
    checkpoint: Checkpoint,
    tokens: Mapping[str, ValueTokens],
    name: str,
    classes: Sequence[str],
    points: Sequence[HookPoint],
    split: str,
    *,
    seed: int,
    groups: Groups | None = None,
) -> Beside:
    """Read the label of this name at every row of `split`; `tokens` hold train, dev and that split.

    With `groups`, the rows of a group are read by probes that are fitted and chosen on the other groups
    alone; rows of a group for which that cannot be done are not read.
    """
    value = Value.of(tokens, 0, name, classes)
    arms = _arms(checkpoint, value, tokens, points, DecodingConfig(seed=seed, controls=BESIDE))
    rows, n = tokens[split].rows(name), len(value.y[split])
    right = {source: np.full(n, np.nan) for source in (*arms, CHANCE)}
    layer = None
    for keep, read in _fits(value, split, groups):
        where = read.numpy()
        for source, draws in arms.items():
            seen = []
            for arm in draws:
                try:
                    probe = fit_arm("logistic", value, arm, DecodingConfig(seed=seed), keep)
                except UserError:
                    if source == OWN:
                        raise
                    continue  # of a null's labels the rows that are fitted may show one class alone
                seen.append(probe.right(arm.X[split][:, read], arm.wanted[split][read])[probe.layer])
                if source == OWN and groups is None:
                    layer = points[probe.layer].layer
            if seen:
                right[source][where] = torch.stack(seen).double().mean(0).numpy()
        fitted = value.y[FIT] if keep is None else value.y[FIT][keep[FIT]]
        right[CHANCE][where] = (value.y[split][read] == fitted.bincount().argmax()).double().numpy()
    labels = [tokens[split].label[row] for row in rows.tolist()]
    return Beside(value.problem[split].numpy(), labels, right, layer)


def _arms(
    checkpoint: Checkpoint,
    value: Value,
    tokens: Mapping[str, ValueTokens],
    points: Sequence[HookPoint],
    config: DecodingConfig,
) -> dict[str, list[Arm]]:
    """The label and its nulls; no draws of one that the rows do not allow."""
    at: dict[str, dict[Position, ValueTokens]] = {split: {0: each} for split, each in tokens.items()}
    X = {s: each.rows(0, value.name) for s, each in Gathered.of_splits(checkpoint, at, points).items()}
    with random_init_instead(checkpoint, seed=config.seed + RANDOM_SEED) as nothing:
        blank = Gathered.of_splits(nothing, at, points)
    arms: dict[str, list[Arm]] = {}
    for control in config.controls:
        try:
            arms |= arms_of(value, checkpoint, X, blank, config.model_copy(update={"controls": (control,)}))
        except UserError:
            arms[control] = []
    return arms


def _fits(
    value: Value, split: str, groups: Groups | None
) -> Iterator[tuple[dict[str, Bool[Tensor, " n"]] | None, Bool[Tensor, " row"]]]:
    """What is fitted, by split (None: all rows), and which rows of `split` it reads."""
    if groups is None:
        yield None, torch.ones(len(value.y[split]), dtype=torch.bool)
        return
    group = {s: [groups[s][i] for i in problem.tolist()] for s, problem in value.problem.items()}
    for name in sorted({each for each in group[split] if each is not None}):
        keep = rows_of("type", group, name)
        if enough_rows(value, keep):
            yield keep, torch.tensor([each == name for each in group[split]], dtype=torch.bool)
