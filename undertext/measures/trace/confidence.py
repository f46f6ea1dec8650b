"""How the probability of an answer moves along a trace: when it settles, whether it rises, how late.

With p_0, p_1, ... p_T the probability of the answer after so many steps:

- commitment point: the smallest i / T from which on every p is at least `COMMITTED`;
- monotonicity: the share of the steps at which p does not fall;
- area over the curve: 1 less the area under p over [0, 1] by the trapezium rule: 0 for an answer that is
  certain from the start, larger the later confidence comes.

The ideas are those of arXiv 2605.24396; its own formulas were not at hand.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.core.statistics import ROUNDING

COMMITTED = 0.5
"""Probability from which an answer counts as settled on."""
EARLY = 0.25
"""A trace commits early that has settled on its answer by this share of its steps."""


@dataclass(frozen=True)
class Trajectory:
    """What one trajectory comes to."""

    commitment: float | None
    """The commitment point; None where the answer is never settled on, or there is no step."""
    monotonicity: float | None
    """None without a step."""
    area: float | None
    """Area over the curve; None without a step."""


def trajectory(p: Float[ndarray, " point"]) -> Trajectory:
    """The figures of one answer's probabilities after 0, 1, ... T steps."""
    steps = len(p) - 1
    if steps < 1:
        return Trajectory(None, None, None)
    below = np.flatnonzero(p < COMMITTED)
    first = int(below[-1]) + 1 if len(below) else 0
    return Trajectory(
        commitment=first / steps if first <= steps else None,
        monotonicity=float(np.mean(np.diff(p) >= -ROUNDING)),
        area=float(1 - (p[:-1] + p[1:]).sum() / (2 * steps)),
    )


def early_and_late(
    commitments: Float[ndarray, " problem"], right: Bool[ndarray, " problem"]
) -> Float[ndarray, "problem 4"]:
    """Of each problem: committed early and right, committed early, later and right, later.

    The accuracy of either kind is a ratio of two columns' means (`accuracy_gap`). NaN for a problem whose
    trace settles on no answer.
    """
    early = commitments <= EARLY
    rows = np.stack([early & right, early, ~early & right, ~early], -1).astype(float)
    rows[np.isnan(commitments)] = np.nan
    return rows


def accuracy_gap(means: Float[ndarray, "... 4"]) -> Float[ndarray, "..."]:
    """Accuracy of those that commit later, less that of those that commit early; NaN without both."""
    early_right, early, late_right, late = (means[..., i] for i in range(4))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(late_right / late - early_right / early)
