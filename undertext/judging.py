"""One split's measurements to its verdict, with the confidence that resampling gives it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.comparison import LineName, Says, SplitResult, Verdict
from undertext.config import Rule
from undertext.evidence.behaviour import Behaviour
from undertext.evidence.measured import Measured
from undertext.latency import Latency
from undertext.statistics import (
    holm,
    paired_difference,
    proportion,
    resamples,
    smallest_detectable,
)
from undertext.tasks.task import Problem
from undertext.verdict import change, verdict


@dataclass(frozen=True)
class Judged:
    """A split's result and what it came from."""

    result: SplitResult
    gap: frozenset[int]
    """Problems that the stronger has right and the weaker wrong; empty where neither is stronger."""
    latency: Latency | None
    """None where there was no gap to ask about."""


def judge(
    base: Behaviour,
    tuned: Behaviour,
    problems: Sequence[Problem],
    rule: Rule,
    seed: int,
    measure: Callable[[Literal["base", "tuned"], Sequence[int]], Latency],
) -> Judged:
    """Judge a split; `measure(weaker, gap)` is called for evidence only where there is a gap to explain."""
    b, t = base.lenient.astype(float), tuned.lenient.astype(float)
    difference = paired_difference(b, t, rule.level)
    changed = change(difference, rule)
    weaker: Literal["base", "tuned", "neither"] = "neither"
    measured: list[Measured] = []
    latency = None
    gap: list[int] = []
    if changed in ("better", "worse"):
        weaker = "base" if changed == "better" else "tuned"
        low, high = (b, t) if weaker == "base" else (t, b)
        gap = [int(i) for i in np.flatnonzero((high > 0.5) & (low < 0.5))]
        latency = measure(weaker, gap)
        measured = latency.lines
    corrected = holm([each.p(seed=seed) for each in measured])
    lines = [each.line(p, rule, seed=seed) for each, p in zip(measured, corrected, strict=True)]
    found = verdict(changed, {line.name: line.says for line in lines})
    result = SplitResult(
        verdict=found,
        confidence=_confidence(found, t - b, measured, rule, seed),
        weaker=weaker,
        accuracy={
            "base": proportion(base.lenient, rule.level),
            "tuned": proportion(tuned.lenient, rule.level),
            "difference": difference,
        },
        evidence=lines,
        flags=[*_flags(base, tuned, rule, len(problems)), *(latency.flags if latency else [])],
        smallest_detectable_difference=smallest_detectable(t - b, level=rule.level),
    )
    return Judged(result, frozenset(gap), latency)


def _confidence(
    found: Verdict, difference: Float[ndarray, " problem"], lines: Sequence[Measured], rule: Rule, seed: int
) -> float:
    """Share of resamples of the problems in which the rule, applied to point figures, gives this verdict."""
    draws = resamples(len(difference), seed, 1000)
    gained = difference[draws].mean(1)
    heard = [line for line in lines if len(line.problems) >= rule.min_problems]
    shares = {line.name: line.resampled_share(draws, len(difference)) for line in heard}
    same = 0
    for k, gain in enumerate(gained):
        changed = "better" if gain >= rule.min_gap else "worse" if gain <= -rule.min_gap else "none"
        says = {name: _point(name, float(share[k]), rule) for name, share in shares.items()}
        same += verdict(changed, says) == found  # type: ignore[arg-type]
    return same / len(gained)


def _point(name: LineName, share: float, rule: Rule) -> Says:
    if share > rule.latent_above:
        return "latent"
    return "absent" if share < rule.absent_below and name != "behaviour" else "unclear"


def _flags(base: Behaviour, tuned: Behaviour, rule: Rule, n: int) -> list[str]:
    flags = []
    lenient, strict = tuned.lenient.astype(float) - base.lenient, tuned.strict.astype(float) - base.strict
    # The mean of differences, not the difference of means: 3 of 10 less 2 of 10 is 1 of 10.
    apart = float((strict - lenient).mean())
    if abs(apart) >= rule.min_gap:
        what = (
            f"{apart:+.2f} of the first is only the answer's format"
            if abs(strict.mean()) > abs(lenient.mean())
            else "right answers are not in the form asked for"
        )
        flags.append(
            f"format: graded strictly the difference is {strict.mean():+.2f}, "
            f"leniently {lenient.mean():+.2f}; {what}"
        )
    if max(base.lenient.mean(), tuned.lenient.mean()) < rule.min_gap:
        flags.append("neither checkpoint solves the task: there is no capability to speak of")
    if n < 50:
        flags.append(f"only {n} problems: intervals are wide")
    return flags
