"""The table `positions`: how well values are read, by layer and by the step that says them.

Its rows come from the readings of `decodable` and `transported`; nothing is fitted or captured for it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from undertext.activations.hookpoint import HookPoint
from undertext.core.statistics import Clusters, among, proportion
from undertext.core.terms import OTHER, Role
from undertext.measures.decoding.readings import Readings

TRANSPORTED = "transported"
"""What the stronger's probes on the weaker's activations are called, among the checkpoints."""


def position_rows(
    readings: Readings,
    points: Sequence[HookPoint],
    weaker: Role,
    clusters: Mapping[str, Clusters],
    level: float,
) -> list[dict[str, Any]]:
    """A row a split, value, step, reader (`weaker`, `stronger`, `transported`) and layer.

    `clusters` are the groups of each split's problems; splits that it lacks have no rows. A step at which no
    value is read has none either. `control` is the weaker's accuracy on control labels, of the same rows.
    """
    readers = {"weaker": weaker, "stronger": OTHER[weaker], TRANSPORTED: TRANSPORTED}
    found = []
    for (name, split), right in readings.right.items():
        if split not in clusters:
            continue
        sites = readings.sites[split]
        rows = sites.rows(name).tolist()
        steps = np.array([readings.steps[split][row] for row in rows], dtype=int)
        problems = sites.problem[rows].numpy()
        for step in np.unique(steps).tolist():
            at = np.flatnonzero(steps == step)
            units = among(clusters[split], problems[at])
            control = right["control"][:, at].double().mean(1).tolist()
            for role, checkpoint in readers.items():
                if role not in right:  # `transported`, where the two read in different tokens
                    continue
                for layer, point in enumerate(points):
                    read = proportion(right[role][layer, at].numpy(), level, units)
                    found.append(
                        {
                            "split": split,
                            "checkpoint": checkpoint,
                            "role": role,
                            "name": name,
                            "step": step,
                            "layer": point.layer,
                            "hook": str(point),
                            "n": len(at),
                            "accuracy": read.value,
                            "low": read.low,
                            "high": read.high,
                            "control": control[layer],
                            "chosen": layer == readings.chosen[name, role],
                        }
                    )
    return found
