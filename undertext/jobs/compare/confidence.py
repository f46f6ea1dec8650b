"""Confidence in a verdict: how often verdicts of such evidence were right on organisms of known truth.

Logistic in a few figures (Platt 1999): how stable the verdict is over resamples of the problems, how many
lines contradict it, and whether it says that the capability was never there, or is there no more, which a
lock may hide. Resamples
see the problems that might have been drawn, and not what all problems of a kind share: a verdict that no
resample changes is not therefore certain. configs/verdict.yaml holds the weights; `undertext bench calibrate`
fits them on the tuning part of the bench.
"""

from collections.abc import Mapping
from math import exp, log

from undertext.core.terms import LineName, Says, Verdict
from undertext.jobs.compare.config import Rule

FOUND: tuple[Verdict, ...] = ("elicited", "composed", "suppressed")
"""Verdicts that find the capability, or its parts, in the weaker checkpoint."""
AGAINST: tuple[LineName, ...] = ("continued", "decodable")
"""Lines that contradict such a verdict where they say `absent`: steps, and values, that are not there. Keys
that do not open, probes that do not transport and answers that do not follow contradict nothing."""
LEAST = 0.0005
"""Stability is held between this and one less this, half a resample of 1,000: its log odds have a bound."""


def contradicting(verdict: Verdict, says: Mapping[LineName, Says]) -> list[LineName]:
    """The lines that contradict a verdict."""
    return [name for name in AGAINST if says.get(name) == "absent"] if verdict in FOUND else []


def log_odds(stability: float) -> float:
    """The log odds of a stability, within bounds."""
    held = min(max(stability, LEAST), 1 - LEAST)
    return log(held / (1 - held))


def confidence(verdict: Verdict, stability: float, against: int, rule: Rule) -> float:
    """The chance that a verdict is right. Of `undetermined`, which is no claim, the stability itself."""
    if verdict == "undetermined":
        return stability
    odds = rule.confidence_intercept + rule.confidence_stability * log_odds(stability)
    odds -= rule.confidence_conflict * against
    odds -= rule.confidence_taught * (verdict == "taught")
    odds -= rule.confidence_overwritten * (verdict == "overwritten")
    return 1 / (1 + exp(-odds))
