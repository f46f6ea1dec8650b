"""What the same kind of probe is fitted to instead: the controls of a reading."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.decoding.config import DecodingConfig
from undertext.measures.decoding.positions import Gathered
from undertext.measures.decoding.values import Value
from undertext.measures.decoding.window import Windows, window_features
from undertext.probes import Surface, control_draws, shuffled_draws

CONTROL_SEED, SHUFFLE_SEED, RANDOM_SEED = 12, 13, 11
"""Added to the job's seed, so that the draws of different controls are independent."""


class Arm(NamedTuple):
    """What a probe is fitted to and read against, by split: the value itself, or a draw of a control."""

    X: Mapping[str, Tensor]
    """Features [layer, n, d]; those of the text (surface, window) are of no layer."""
    y: Mapping[str, Tensor]
    """Labels that the probe is fitted to (train), and its strength and layer chosen on (dev)."""
    wanted: Mapping[str, Tensor]
    """Labels that the probe's answers are compared with."""
    alternatives: bool = False
    """Whether layers are other features of the same rows: the one that reads dev best is the arm's only
    layer."""

    def only(self, layer: int) -> "Arm":
        """The arm with one layer alone."""
        return self._replace(
            X={split: X[layer : layer + 1] for split, X in self.X.items()}, alternatives=False
        )


def control_arms(value: Value, X: Mapping[str, Tensor], seeds: Sequence[int]) -> list[Arm]:
    """The same features with control labels, a draw for each seed."""
    drawn = control_targets(value.windows, value.y[FIT], len(value.classes), seeds=seeds)
    return [Arm(X, labels, labels) for labels in drawn]


def shuffled_arms(value: Value, X: Mapping[str, Tensor], seeds: Sequence[int]) -> list[Arm]:
    """The same features with the labels of train and dev in random order, a draw for each seed."""
    mixed = {
        split: shuffled_draws(value.labelled(split, X[split], value.y[split]), seeds=seeds)[:, 0]
        for split in (FIT, CHOOSE)
    }
    return [Arm(X, {s: y[:, i] for s, y in mixed.items()}, value.y) for i in range(len(seeds))]


def surface_arm(value: Value) -> Arm:
    """The same labels with what the text alone shows at each row, [1, n, feature]."""
    surface = Surface(value.windows[FIT])
    features = {split: surface.features(texts)[None] for split, texts in value.windows.items()}
    return Arm(features, value.y, value.y)


def window_arm(value: Value, checkpoint: Checkpoint) -> Arm:
    """The same labels with what can be put together from the last tokens; its lengths are alternatives."""
    features = window_features(value.windows, value.y[FIT], len(value.classes), checkpoint)
    return Arm(features, value.y, value.y, alternatives=True)


def arms_of(
    value: Value,
    checkpoint: Checkpoint,
    X: Mapping[str, Tensor],
    untrained: Mapping[str, Gathered] | None,
    config: DecodingConfig,
) -> dict[str, list[Arm]]:
    """The value itself, as `none`, and the draws of every control in `config`.

    `untrained` has the activations at random init, for the control of that name.
    """
    arms = {"none": [Arm(X, value.y, value.y)]}
    for control in dict.fromkeys(config.controls):
        if control == "control":
            arms[control] = control_arms(value, X, _seeds(config, CONTROL_SEED))
        elif control == "shuffled":
            arms[control] = shuffled_arms(value, X, _seeds(config, SHUFFLE_SEED))
        elif control == "surface":
            arms[control] = [surface_arm(value)]
        elif control == "window":
            arms[control] = [window_arm(value, checkpoint)]
        elif untrained is not None:
            blank = {split: each.rows(value.position, value.name) for split, each in untrained.items()}
            arms[control] = [Arm(blank, value.y, value.y)]
    return arms


def _seeds(config: DecodingConfig, control: int) -> range:
    """As many seeds as draws; jobs of neighbouring seeds share none."""
    start = (config.seed + control) * 1000
    return range(start, start + config.draws)


Key = tuple[int, ...]

SEEN = 0.9
"""Least share of the texts of dev whose keys train has shown too."""
KEYS_PER_CLASS = 5
"""Fewest keys a class. With few, a probe that knows nothing of the task reads control labels without a
mistake (all of them, where every text ends alike), and no reading could beat that."""


def control_keys(windows: Windows, classes: int) -> dict[str, list[Key]]:
    """Each row's key: the last tokens of the text it is read from.

    Hewitt and Liang's word types (arXiv 1909.03368) are many, and most words that are read are of types that
    were fitted. So as many tokens are taken as leave `SEEN` of dev's keys among train's: with fewer, keys are
    few and learnt by heart; with more, they are new ones, on which every control reads chance. Where that
    gives less than `KEYS_PER_CLASS` keys a class, as many tokens as give those. No label is looked at.
    """
    fitted, held = windows[FIT], windows[CHOOSE]
    longest = max(len(window) for window in fitted)
    enough = (n for n in range(1, longest) if len(_keys(fitted, n)) >= KEYS_PER_CLASS * classes)
    size = next(enough, longest)
    while size < longest and _seen(held, fitted, size + 1) >= SEEN:
        size += 1
    return {split: [_key(window, size) for window in each] for split, each in windows.items()}


def _seen(held: Sequence[Sequence[int]], fitted: Sequence[Sequence[int]], size: int) -> float:
    known = _keys(fitted, size)
    return sum(_key(window, size) in known for window in held) / len(held)


def _keys(windows: Sequence[Sequence[int]], size: int) -> set[Key]:
    return {_key(window, size) for window in windows}


def _key(window: Sequence[int], size: int) -> Key:
    return tuple(window[-size:])


def control_targets(
    windows: Windows, y: Int[Tensor, " n"], classes: int, *, seeds: Sequence[int]
) -> list[dict[str, Tensor]]:
    """Control labels of every split's rows, a draw for each seed; `y` are train's labels.

    One draw for all splits together, so that a key has the same label wherever it stands.
    """
    keys = control_keys(windows, classes)
    others = [split for split in keys if split != FIT]
    drawn, read = control_draws(y, keys[FIT], [key for split in others for key in keys[split]], seeds=seeds)
    parts = read[:, 0].split([len(keys[split]) for split in others])
    return [
        {FIT: drawn[:, 0, i], **{split: part[:, i] for split, part in zip(others, parts, strict=True)}}
        for i in range(len(seeds))
    ]
