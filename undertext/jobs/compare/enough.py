"""How many problems would be enough for a verdict, where intervals are too wide for one.

The rule judges the figures at hand as if there were more of the same: with N problems (and as many times the
groups) each of the n counts N / n times, and the half width of an interval falls as 1 / sqrt(N). An interval
that would just clear its threshold at the estimate clears it in half of the draws. So it must clear with room
for `POWER`: (z_level + z_power) standard errors instead of z_level, as in `smallest_detectable`.
"""

from collections.abc import Callable, Collection, Sequence
from math import copysign
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.core.statistics import Clusters, Intervals
from undertext.core.terms import ROLES, LineName, Role
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.judgement import Judgement
from undertext.jobs.compare.raw_line import RawLine

POWER = 0.9
"""Share of the draws of so many problems in which one interval clears its threshold. A verdict may wait for
several, or for an interval that must clear two thresholds."""
MOST_TIMES, MOST_FOR_FEW = 100, 10_000
"""The largest number that is named: so many times the problems there are, and at least so many. What takes
more lies at its threshold, as far as can be seen."""

JudgedBy = Callable[[Float[ndarray, "resample n"]], Judgement]
"""The rule, given how often each problem counts. Who is below chance is told by the problems as they are."""


class Enough(NamedTuple):
    """How many problems like these would be enough."""

    problems: int | None
    """Rounded up to two digits; None: no number within reach."""
    groups: int | None
    """As many groups, where problems have groups."""
    why: str
    """What is open now; with None, what stays open."""
    purpose: str
    """What they would be enough for."""
    present: int
    """Number of problems there are."""

    @property
    def flag(self) -> str:
        """The same as a sentence."""
        if self.problems is None:
            return f"no number of problems like these would be enough {self.purpose}: {self.why}"
        groups = "" if self.groups is None else f" of {self.groups:,} groups"
        return (
            f"about {self.problems:,} problems like these{groups} would be enough {self.purpose}, at these "
            f"estimates; there are {self.present:,}, too few for {self.why}"
        )


def enough(
    judged: JudgedBy,
    n: int,
    units: Clusters,
    weaker: Role | Literal["neither"],
    lines: Sequence[RawLine],
    rule: Rule,
    never_absent: Collection[LineName],
) -> Enough | None:
    """How many problems would decide what n left open; None where a verdict is given, or more problems are
    not what it wants: a line that could not be measured, lines that contradict each other, a task that
    neither solves.

    `lines` were measured on `weaker`; `never_absent` are those that find a capability and cannot miss one.
    """
    now = judged(np.ones((1, n)))
    unmeasured = weaker == "neither" and now.changed[0] in ("better", "worse")
    if now.verdict[0] != "undetermined" or unmeasured:
        return None
    z_level, z_power = (NormalDist().inv_cdf(each) for each in (0.5 + rule.level / 2, POWER))
    room = ((z_level + z_power) / z_level) ** 2
    counts = two_digits(n, max(MOST_TIMES * n, MOST_FOR_FEW))
    then = judged(np.outer(np.array(counts) / (n * room), np.ones(n)))
    steady = _steady(then, rule, z_power / (z_level + z_power))
    told = then.solved & (then.changed != "unsure") if weaker == "neither" else then.verdict != "undetermined"
    open_ = np.flatnonzero(~(told & steady))
    first = int(open_[-1]) + 1 if len(open_) else 0
    to_measure = weaker == "neither" and then.changed[min(first, len(counts) - 1)] != "none"
    purpose = "to tell whether accuracy changed" if to_measure else "for a verdict"
    if first < len(counts):
        groups = None if units is None else round((int(units.max()) + 1) * counts[first] / n)
        return Enough(counts[first], groups, _too_wide(now, then, first, weaker), purpose, n)
    why = _stays_open(then, bool(steady[-1]), lines, rule, never_absent)
    return None if why is None else Enough(None, None, why, purpose, n)


def two_digits(low: int, high: int) -> list[int]:
    """The numbers over `low`, up to `high`, of two digits and zeros after them."""
    numbers, number = [], low + 1
    while number <= high:
        unit = 10 ** max(0, len(str(number)) - 2)
        number = -(-number // unit) * unit
        numbers.append(number)
        number += 1
    return numbers


def _steady(then: Judgement, rule: Rule, power_part: float) -> Bool[ndarray, " resample"]:
    """Where figures that must reach `min_gap` by themselves would in most draws: by `power_part` of the half
    width of their intervals, which have the room for the power in them."""

    def reaches(figure: ndarray, of: Intervals) -> ndarray:
        return np.asarray(figure - power_part * (of.high - of.low) / 2 >= rule.min_gap)

    size = np.abs(then.difference.value)
    same = ~np.isin(then.changed, ["better", "worse"]) | reaches(size, then.difference)
    base, tuned = (reaches(over.value, over) for over in (then.over_chance[role] for role in ROLES))
    solved = np.select([then.changed == "better", then.changed == "worse"], [tuned, base], base | tuned)
    return np.asarray(same & solved)


def _too_wide(now: Judgement, then: Judgement, at: int, weaker: Role | Literal["neither"]) -> str:
    """What is open now, would not be with the problems of index `at`, and would leave the verdict open."""
    found = []
    if now.changed[0] == "unsure":
        found.append("the difference in accuracy")
    if not now.solved[0]:
        found.append("the accuracy over chance")
    if weaker != "neither":
        told = [name for name, said in then.says.items() if now.says[name][0] == "unclear" != said[at]]
        silent = np.full(len(then.verdict), "unclear")
        needed = [name for name in told if then.concluded({**then.says, name: silent})[at] == "undetermined"]
        found += [f"`{name}`" for name in needed or told]
    return " and ".join(found) or "what was measured"


def _stays_open(
    then: Judgement, steady: bool, lines: Sequence[RawLine], rule: Rule, never_absent: Collection[LineName]
) -> str | None:
    """Which estimates lie at their thresholds, with the most problems that are looked at; None: none does."""
    if not then.solved[-1]:
        return None
    value = float(then.difference.value[-1])
    if then.changed[-1] == "unsure" or (then.changed[-1] != "none" and not steady):
        return (
            f"the difference in accuracy, {value:+.2f}, is too near to "
            f"{copysign(rule.min_gap, value):+.2f} to be told from it"
        )
    between = {}
    for line in lines:
        said, share = then.says[line.name], line.share(rule.level).value
        cut = line.unfinished is not None and bool(line.unfinished.any())
        ceiling = float((line.stronger - line.null).mean())
        numbers_count = ceiling >= rule.min_over_null and (share >= rule.absent_below or not cut)
        if said[-1] != "unclear" or line.name in never_absent or not numbers_count:
            continue
        for other in ("latent", "absent"):
            if then.concluded({**then.says, line.name: np.full(len(said), other)})[-1] != "undetermined":
                between[line.name] = share
    if not between:
        return None
    shown = ", ".join(f"`{name}` {share:.2f}" for name, share in between.items())
    return (
        f"a share is surely neither over {rule.latent_above:.2f} nor below {rule.absent_below:.2f}, or too "
        f"near to one of them ({shown})"
    )
