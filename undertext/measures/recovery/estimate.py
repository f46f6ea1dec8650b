"""What one vector recovered on a split, beside the best control of each kind under the same search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.core.statistics import Clusters, Estimate, among, bootstrap, paired_difference, proportion
from undertext.core.terms import CONTROL_KINDS, Access, ControlKind
from undertext.measures.answers import Answers
from undertext.measures.recovery.search import SteeredAnswers, SteeringSearch


@dataclass(frozen=True)
class Excess:
    """A vector less the best control of one kind: is the vector special? Never: is the capability latent?"""

    control: str
    """The control of that kind that did best on dev."""
    accuracy: Estimate
    """Difference in lenient accuracy, paired."""
    recovered: Estimate | None
    """The same in units of the gap; None where there is no gap to recover."""


@dataclass(frozen=True)
class RecoveryEstimate:
    """One vector's chosen setting on one split, as plain values. Every interval is over problems, paired."""

    vector: str
    control: ControlKind | None
    """Which kind of control it is; None for a vector."""
    access: Access
    layer: int
    hook: str
    at: str
    """The tokens at which the vector acts."""
    operator: str
    dose: float
    steered: float
    """Share of the generated tokens, end tokens among them, that were chosen in a steered pass. A pass reads
    one token and chooses the next: steering the prompt's last token alone steers the first generated one."""
    steered_of_all: float
    """Share of all tokens read, those of the prompts among them, that were steered."""
    strict: Estimate
    """Accuracy with the vector, strictly graded."""
    lenient: Estimate
    """Accuracy with the vector, leniently graded."""
    difference: Estimate
    """Lenient accuracy less the weaker checkpoint's own."""
    gap: Estimate | None
    """`(steered - weaker) / (stronger - weaker)`, leniently graded, signed and unclamped; None where the
    interval of the gap itself touches zero, and there is no gap to recover."""
    strict_gap: Estimate | None
    """The recovered gap, strictly graded."""
    excess: dict[ControlKind, Excess]
    """Over the best control of each kind that there is."""
    only_format: float | None
    """Of the problems newly right in the strict grade, the share that the weaker checkpoint already had
    right in the lenient one; None where no problem is newly right."""
    solved: int
    """Number of problems that the weaker checkpoint has right by itself, leniently graded."""
    still_correct: Estimate | None
    """Of these, the share that is still right when steered; None where there are none."""
    unfinished: float
    """Share of the steered outputs that are unfinished; they count as wrong."""


def estimate_recovery(
    searched: SteeringSearch,
    steered: Mapping[str, SteeredAnswers],
    name: str,
    weaker: Answers,
    stronger: Answers | None,
    *,
    seed: int,
    level: float = 0.95,
) -> RecoveryEstimate:
    """What the vector of that name recovered of the gap from `weaker` to `stronger`; None has no gap.

    `steered` are the answers to the same problems by vector (`recover`), all controls among them.
    """
    above = weaker if stronger is None else stronger
    own, setting, units = steered[name], searched.best[name], weaker.clusters
    control = searched.candidates.controls.get(name)
    excess = {}
    for kind in CONTROL_KINDS:
        best = searched.best_control(kind)
        # A control stands beside vectors: neither itself nor others of its kind are its controls.
        if best is not None and (control is None or control.kind != kind):
            other = steered[best].lenient
            excess[kind] = Excess(
                best,
                paired_difference(other, own.lenient, level, units),
                gap_share(
                    other, own.lenient, weaker.lenient, above.lenient, seed=seed, level=level, clusters=units
                ),
            )
    gaps: dict[str, Any] = {"seed": seed, "level": level, "clusters": units}
    newly = own.strict & ~weaker.strict
    solved = weaker.lenient
    return RecoveryEstimate(
        vector=name,
        control=None if control is None else control.kind,
        access=searched.candidates.access[name],
        layer=setting.layers[0],
        hook=searched.hook(setting),
        at=str(setting.gate),
        operator=setting.operator,
        dose=float(setting.dose),
        steered=own.steered,
        steered_of_all=own.touched,
        strict=proportion(own.strict, level, units),
        lenient=proportion(own.lenient, level, units),
        difference=paired_difference(weaker.lenient, own.lenient, level, units),
        gap=recovered_gap(own.lenient, weaker.lenient, above.lenient, **gaps),
        strict_gap=recovered_gap(own.strict, weaker.strict, above.strict, **gaps),
        excess=excess,
        only_format=float(solved[newly].mean()) if newly.any() else None,
        solved=int(solved.sum()),
        still_correct=proportion(own.lenient[solved], level, among(units, solved)) if solved.any() else None,
        unfinished=float(own.unfinished.mean()),
    )


def recovered_gap(
    steered: ndarray,
    weaker: ndarray,
    stronger: ndarray,
    *,
    seed: int,
    level: float = 0.95,
    clusters: Clusters = None,
) -> Estimate | None:
    """The recovered gap with its paired bootstrap interval; None where the gap's interval touches zero."""
    return gap_share(weaker, steered, weaker, stronger, seed=seed, level=level, clusters=clusters)


def gap_share(
    low: ndarray,
    high: ndarray,
    weaker: ndarray,
    stronger: ndarray,
    *,
    seed: int,
    level: float = 0.95,
    clusters: Clusters = None,
) -> Estimate | None:
    """`(mean(high) - mean(low)) / (mean(stronger) - mean(weaker))`, paired bootstrap interval.

    None where the gap's interval touches zero, or the gap is the other way round.
    """
    if paired_difference(weaker, stronger, level, clusters).low <= 0:
        return None
    data = np.stack([high, low, stronger, weaker], -1).astype(float)
    return bootstrap(_share_of_four, data, seed=seed, level=level, clusters=clusters)


def _share_of_four(means: Float[ndarray, "... 4"]) -> Float[ndarray, "..."]:
    high, low, stronger, weaker = (means[..., i] for i in range(4))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((high - low) / (stronger - weaker))
