"""Information gain summed up along traces, with its change: rows of the table `curves`."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.core.statistics import Clusters
from undertext.core.terms import Role
from undertext.jobs.measure.collected import Row, TrailReads
from undertext.jobs.measure.figures_of import Column, measured

SHARES = np.linspace(0.0, 1.0, 11)
"""Shares of a trace's steps at which the gain is given; between two steps lies a straight line."""
CHANGE = "change"


def gain_curve(reads: TrailReads, problems: int) -> Float[ndarray, "problem share"]:
    """Log-probability of the right answer less that before the first step, in nats, of each problem.

    NaN for a problem without a trace, and for a trace without a step.
    """
    found = np.full((problems, len(SHARES)), np.nan)
    for i, read in zip(reads.index, reads.right, strict=True):
        logs = read.log_probs
        if len(logs) > 1:
            found[i] = np.interp(SHARES, np.linspace(0.0, 1.0, len(logs)), logs - logs[0])
    return found


def curve_rows(
    traces: str, by_role: Mapping[Role, TrailReads], problems: int, clusters: Clusters, seed: int
) -> list[Row]:
    """Means over traces with their intervals, and of the change over the problems that both have a trace of.

    The last of them are the figure `gain, answer form (nats)`.
    """
    tables = {role: gain_curve(reads, problems) for role, reads in by_role.items()}
    rows: list[Row] = []
    for k, share in enumerate(SHARES.tolist()):
        columns = {role: table[:, k] for role, table in tables.items()}
        found = measured(Column("information", "gain", traces, "mean", columns), clusters, seed)
        for name in (*by_role, CHANGE):
            each = None if found is None else found[name]
            if each is not None:
                rows.append(
                    {
                        "traces": traces,
                        "checkpoint": name,
                        "share": share,
                        "gain": each["value"],
                        "low": each["low"],
                        "high": each["high"],
                        "n": each["n"],
                    }
                )
    return rows
