"""The readings at the layer chosen on dev, out of the table of all: what a probing job found, in short."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from undertext.core.terms import CHOOSE

_PLACE = ("checkpoint", "task", "split", "value", "position", "probe")


def best_readings(probes: pa.Table) -> list[dict[str, Any]]:
    """A checkpoint's own readings at the layer chosen on dev, each beside its controls at their own layers.

    `BestReading` in result.py says what each key holds.
    """
    columns = ("layer", "n", "classes", "accuracy", "baseline", "selectivity", "mdl", "erased")
    readings: dict[tuple[Any, ...], dict[str, Any]] = {}
    controls: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in _reported(probes):
        place = tuple(row[name] for name in _PLACE)
        if row["checkpoint"] != row["fitted_on"]:
            continue
        if row["control"] == "none":
            readings[place] = {name: row[name] for name in (*_PLACE, *columns)}
        else:
            controls.setdefault(place, {})[row["control"]] = row["accuracy"]
    return [{**reading, "controls": controls.get(place, {})} for place, reading in readings.items()]


def transported_readings(probes: pa.Table) -> list[dict[str, Any]]:
    """Readings of a checkpoint by another one's probes, at the layer chosen for these in their own
    checkpoint."""
    columns = (*_PLACE, "fitted_on", "layer", "n", "accuracy")
    return [
        {name: row[name] for name in columns}
        for row in _reported(probes)
        if row["checkpoint"] != row["fitted_on"]
    ]


def _reported(probes: pa.Table) -> Iterable[dict[str, Any]]:
    """Rows at the chosen layer; those of dev, which flatter, only where no other split was read."""
    rows = [row for row in probes.to_pylist() if row["chosen"]]
    return [row for row in rows if row["split"] != CHOOSE] or rows
