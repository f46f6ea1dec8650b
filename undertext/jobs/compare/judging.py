"""One split's measurements to its verdict, with the confidence that resampling gives it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.core.statistics import holm, paired_difference, proportion, resamples, smallest_detectable
from undertext.core.terms import LineName, Says, Verdict
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.evidence import SplitEvidence
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.result import SplitResult
from undertext.jobs.compare.verdict import change, verdict
from undertext.measures.answers import Answers
from undertext.tasks.task import Problem


@dataclass(frozen=True)
class Judged:
    """A split's result and what it came from."""

    result: SplitResult
    gap: frozenset[int]
    """Problems that the stronger has right and the weaker wrong; empty where neither is stronger."""
    latency: SplitEvidence | None
    """None where there was no gap to ask about."""


def judge(
    base: Answers,
    tuned: Answers,
    problems: Sequence[Problem],
    rule: Rule,
    seed: int,
    measure: Callable[[Literal["base", "tuned"], Sequence[int]], SplitEvidence],
) -> Judged:
    """Judge a split; `measure(weaker, gap)` is called for evidence only where there is a gap to explain."""
    b, t = base.lenient.astype(float), tuned.lenient.astype(float)
    difference = paired_difference(b, t, rule.level)
    changed = change(difference, rule)
    weaker: Literal["base", "tuned", "neither"] = "neither"
    measured: list[RawLine] = []
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
    found: Verdict, difference: Float[ndarray, " problem"], lines: Sequence[RawLine], rule: Rule, seed: int
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


def _flags(base: Answers, tuned: Answers, rule: Rule, n: int) -> list[str]:
    flags = []
    lenient = float(tuned.lenient.mean() - base.lenient.mean())
    strict = float(tuned.strict.mean() - base.strict.mean())
    if abs(strict - lenient) >= rule.min_gap:
        what = (
            f"{strict - lenient:+.2f} of the first is only the answer's format"
            if abs(strict) > abs(lenient)
            else "right answers are not in the form asked for"
        )
        flags.append(
            f"format: graded strictly the difference is {strict:+.2f}, leniently {lenient:+.2f}; {what}"
        )
    if max(base.lenient.mean(), tuned.lenient.mean()) < rule.min_gap:
        flags.append("neither checkpoint solves the task: there is no capability to speak of")
    if n < 50:
        flags.append(f"only {n} problems: intervals are wide")
    return flags
