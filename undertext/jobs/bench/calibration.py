"""The weights of a verdict's confidence: fitted on the tuning part of the bench, applied to what was judged
before."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from undertext.activations.errors import UserError, shown
from undertext.jobs.bench.case import Judged
from undertext.jobs.bench.judges import OURS
from undertext.jobs.compare.confidence import confidence, log_odds
from undertext.jobs.compare.config import Rule

PRIOR = 0.1
"""Weight of the squares by which slopes differ from `EXPECTED`."""
EXPECTED = (0.0, 1.0, 0.0, 0.0)
"""Slopes where cases do not tell, by stability, contradiction and the two kinds of absence: confidence
depends on what was seen, but that a line contradicts a verdict lowers it, by a log odds of 1."""


class Calibration(NamedTuple):
    """Weights as configs/verdict.yaml has them, and what they were fitted on."""

    confidence_intercept: float
    confidence_stability: float
    confidence_conflict: float
    confidence_taught: float
    confidence_overwritten: float
    cases: int
    """Verdicts given on scored cases."""
    right: int


def reweighed(records: Iterable[Judged], rule: Rule) -> tuple[Judged, ...]:
    """The judgements with the confidence that the rule's weights give our own verdicts.

    A verdict, its stability and what contradicts it do not depend on the weights, so that nothing is judged
    anew. Other judges, and records without a stability, stay as they are.
    """
    return tuple(
        replace(each, confidence=confidence(each.verdict, each.stability, each.against, rule))
        if each.judge == OURS and each.stability is not None
        else each
        for each in records
    )


def calibrate(records: Iterable[Judged], only: Collection[str] = ()) -> Calibration:
    """Fit the weights on our own verdicts of the part `tuning`; the held-out part is left out.

    With `only`, on those of these families or worlds.

    Platt's targets (1999): (right + 1) / (right + 2) for a right verdict and 1 / (wrong + 2) for a wrong one,
    so that no finite number of right verdicts makes one certain. No verdict is surer for being less stable,
    contradicted, or of absence. Raises UserError with no such verdict, and for a name that has none.
    """
    given = {
        each.case.key: each
        for each in sorted(records, key=lambda each: each.key, reverse=True)  # the smallest seed stays
        if each.judge == OURS
        and each.case.part == "tuning"
        and not each.case.ambiguous
        and each.given
        and each.stability is not None
    }
    names = {name for each in given.values() for name in (each.case.family, each.case.world)}
    if unknown := [name for name in only if name not in names]:
        raise UserError(
            f"expected families or worlds of the part tuning ({', '.join(sorted(names))}), got "
            f"{shown(unknown[0])}"
        )
    if only:
        given = {key: each for key, each in given.items() if {each.case.family, each.case.world} & {*only}}
    if not given:
        raise UserError("expected verdicts of undertext on scored cases of the part tuning, got none")
    right = np.array([each.right for each in given.values()])
    figures = np.array(
        [
            (
                1.0,
                log_odds(each.stability or 0.0),
                -each.against,
                -(each.verdict == "taught"),
                -(each.verdict == "overwritten"),
            )
            for each in given.values()
        ]
    )
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))

    def loss(weights: np.ndarray) -> float:
        odds = figures @ weights
        return float(
            np.sum(np.logaddexp(0, odds) - target * odds) + PRIOR * np.sum((weights[1:] - EXPECTED) ** 2)
        )

    bounds = [(None, None), *[(0, None)] * 4]
    fitted = minimize(
        loss, np.array([0.0, 0.1, 0.1, 0.1, 0.1]), method="L-BFGS-B", bounds=bounds, tol=1e-10
    ).x
    intercept, stability, conflict, taught, overwritten = (round(float(weight), 3) for weight in fitted)
    return Calibration(intercept, stability, conflict, taught, overwritten, len(given), int(right.sum()))
