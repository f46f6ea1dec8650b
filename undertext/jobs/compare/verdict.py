"""The rule from evidence to verdict. Its thresholds are in configs/verdict.yaml; nothing else decides.

Every line of evidence is a share: of what the stronger checkpoint shows over the line's null, how
much does the weaker one show? A share surely above `latent_above` says `latent`, one surely below
`absent_below` says `absent`.
"""

from collections.abc import Mapping
from typing import Literal

from undertext.core.statistics import Estimate
from undertext.core.terms import LineName, Says, Verdict
from undertext.jobs.compare.config import Rule

Change = Literal["better", "worse", "none", "unsure"]
"""Of the tuned checkpoint against the base."""


def change(difference: Estimate, rule: Rule) -> Change:
    """Whether tuning changed accuracy on the split (tuned less base)."""
    if difference.low > 0 and difference.value >= rule.min_gap:
        return "better"
    if difference.high < 0 and difference.value <= -rule.min_gap:
        return "worse"
    if -rule.min_gap < difference.low and difference.high < rule.min_gap:
        return "none"
    return "unsure"


def says(name: LineName, share: Estimate, p: float, rule: Rule) -> Says:
    """What a line says. Samples that miss prove nothing, so `behaviour` never says `absent`."""
    if share.low > rule.latent_above and p <= rule.alpha:
        return "latent"
    if share.high < rule.absent_below and name != "behaviour":
        return "absent"
    return "unclear"


def latency(lines: Mapping[LineName, Says]) -> Says:
    """What the lines say together.

    Doing it without training is proof: whatever solves the problem was there. Failing to is not
    absence, since steering can miss; it takes that *and* nothing to read.
    """
    if "latent" in (lines.get("recovered"), lines.get("behaviour")):
        return "latent"
    if lines.get("recovered") == "absent" and lines.get("decodable") == "absent":
        return "unclear" if "latent" in lines.values() else "absent"
    return "unclear"


def verdict(changed: Change, lines: Mapping[LineName, Says]) -> Verdict:
    """The verdict on a split."""
    if changed == "none":
        return "preserved"
    if changed == "unsure":
        return "undetermined"
    match latency(lines), changed:
        case "latent", "better":
            return "elicited"
        case "latent", "worse":
            return "suppressed"
        case "absent", "better":
            return "taught"
        case "absent", "worse":
            return "overwritten"
    return "undetermined"
