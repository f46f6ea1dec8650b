"""What the same kind of probe is fitted to instead: the controls of a reading."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from undertext.core.terms import CHOOSE, FIT
from undertext.jobs.probe.config import Control, ProbeConfig
from undertext.measures.decoding.control_labels import control_targets
from undertext.measures.decoding.positions import Gathered
from undertext.measures.decoding.values import Value
from undertext.probes import Surface, shuffled_draws

CONTROL_SEED, SHUFFLE_SEED, RANDOM_SEED = 12, 13, 11
"""Added to the job's seed, so that its draws do not hang on one another."""


class Arm(NamedTuple):
    """One draw of a control, by split."""

    X: Mapping[str, Tensor]
    """What it is read from, [layer, n, d]; the surface has one layer."""
    y: Mapping[str, Tensor]
    """Labels that it is fitted to (train), and its layer chosen on (dev)."""
    wanted: Mapping[str, Tensor]
    """Labels that it is held against."""


def arms_of(
    value: Value,
    X: Mapping[str, Tensor],
    untrained: Mapping[str, Gathered] | None,
    config: ProbeConfig,
) -> dict[str, list[Arm]]:
    """The draws of every control the job asks for; `untrained` has activations at random init."""
    return {
        control: _arms(control, value, X, untrained, config) for control in dict.fromkeys(config.controls)
    }


def _arms(
    control: Control,
    value: Value,
    X: Mapping[str, Tensor],
    untrained: Mapping[str, Gathered] | None,
    config: ProbeConfig,
) -> list[Arm]:
    if control == "control":
        seeds = _seeds(config, CONTROL_SEED)
        drawn = control_targets(value.windows, value.y[FIT], len(value.classes), seeds=seeds)
        return [Arm(X, each, each) for each in drawn]
    if control == "shuffled":
        seeds = _seeds(config, SHUFFLE_SEED)
        mixed = {
            s: shuffled_draws(value.labelled(s, X[s], value.y[s]), seeds=seeds)[:, 0] for s in (FIT, CHOOSE)
        }
        return [Arm(X, {s: y[:, i] for s, y in mixed.items()}, value.y) for i in range(config.draws)]
    if control == "surface":
        return [Arm(surface_of(value), value.y, value.y)]
    assert untrained is not None
    blank = {split: each.rows(value.position, value.name) for split, each in untrained.items()}
    return [Arm(blank, value.y, value.y)]


def surface_of(value: Value) -> dict[str, Tensor]:
    """What the text alone shows at each row, by split, [1, n, feature]."""
    surface = Surface(value.windows[FIT])
    return {split: surface.features(each)[None] for split, each in value.windows.items()}


def _seeds(config: ProbeConfig, of: int) -> range:
    """So many seeds that jobs of neighbouring seeds share none."""
    start = (config.seed + of) * 1000
    return range(start, start + config.draws)
