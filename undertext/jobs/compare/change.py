"""Whether tuning changed accuracy, and on which problems the stronger checkpoint is ahead."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.core.statistics import Intervals, mean_intervals
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.judgement import Words
from undertext.measures.answers import Answers


class Change(NamedTuple):
    """The difference in accuracy, tuned less base, in each resample of the problems."""

    plain: Intervals
    """Unfinished outputs count as wrong."""
    least: Intervals
    """The same, but of a checkpoint with more than `max_unfinished` such outputs each counts as what makes
    the tuned checkpoint do worse than the base."""
    most: Intervals
    """And as what makes the tuned checkpoint do better."""


def changes(difference: Change, rule: Rule) -> Words:
    """Whether tuning changed accuracy, whatever unfinished outputs would have been: `better`, `worse`, `none`
    (surely by less than `min_gap`), `unsure`."""
    _, least, most = difference
    return np.select(
        [
            (least.low > 0) & (least.value >= rule.min_gap),
            (most.high < 0) & (most.value <= -rule.min_gap),
            (least.low > -rule.min_gap) & (most.high < rule.min_gap),
        ],
        ["better", "worse", "none"],
        "unsure",
    )


def difference_of(
    answers: Mapping[Role, Answers], weights: Float[ndarray, "resample n"], rule: Rule
) -> Change:
    """The difference in accuracy. Whether a checkpoint has too many unfinished outputs is told in each
    resample by itself."""
    units = answers["base"].clusters
    base, tuned = (answers[role].lenient.astype(float) for role in ROLES)

    def between(higher: ndarray, lower: ndarray) -> Intervals:
        return mean_intervals(higher - lower, weights, rule.level, units)

    plain = between(tuned, base)
    cut = {role: answers[role].unfinished for role in ROLES}
    many = {role: weights @ each / weights.sum(-1) > rule.max_unfinished for role, each in cut.items()}
    if not any(each.any() for each in many.values()):
        return Change(plain, plain, plain)
    least, most = (
        between(tuned, np.maximum(base, cut["base"])),
        between(np.maximum(tuned, cut["tuned"]), base),
    )
    return Change(plain, _where(many["base"], least, plain), _where(many["tuned"], most, plain))


def _where(chosen: ndarray, one: Intervals, other: Intervals) -> Intervals:
    return Intervals(*(np.where(chosen, a, b) for a, b in zip(one, other, strict=True)))


class Gap(NamedTuple):
    """Which checkpoint is the weaker one on a split, and what is to be explained."""

    weaker: Role | Literal["neither"]
    problems: list[int]
    """Problems that the stronger has right and the weaker wrong; none where neither is stronger."""


def gap_between(answers: Mapping[Role, Answers], rule: Rule) -> Gap:
    """The gap between two checkpoints' answers to the same problems, where the rule sees one.

    Where too many outputs of the weaker one are unfinished, the problems of those are not in the gap: nobody
    knows that they are wrong.
    """
    base, tuned = (answers[role].lenient for role in ROLES)
    (changed,) = changes(difference_of(answers, np.ones((1, len(base))), rule), rule)
    if changed not in ("better", "worse"):
        return Gap("neither", [])
    weaker: Role = "base" if changed == "better" else "tuned"
    low, high = (base, tuned) if weaker == "base" else (tuned, base)
    cut = answers[weaker].unfinished
    unknown = cut if cut.mean() > rule.max_unfinished else np.zeros_like(cut)
    return Gap(weaker, np.flatnonzero(high & ~low & ~unknown).tolist())
