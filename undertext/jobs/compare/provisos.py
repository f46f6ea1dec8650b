"""What lines show beside what they say: keys not tried, readings surely below half, steps that go on.

As the rule itself, these are arrays whose axis is resamples of the problems.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.core.terms import LineName
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.raw_line import LineEstimates

WORDED: tuple[LineName, ...] = ("prompted", "prefilled")


def untried(
    lines: Mapping[LineName, LineEstimates], rule: Rule
) -> dict[LineName, Bool[ndarray, " resample"]]:
    """Keys in words and vectors that would surely not open, were it not for outputs that were cut: more than
    may be."""
    return {
        name: (line.unfinished > rule.max_unfinished) & (line.share.high < rule.absent_below)
        for name, line in lines.items()
        if name in (*WORDED, "recovered")
    }


def still_going(
    lines: Mapping[LineName, LineEstimates], p: Mapping[LineName, Float[ndarray, " resample"]], rule: Rule
) -> Bool[ndarray, " resample"] | None:
    """Where surely more than `steps_above` of the next steps go on; None where that was not measured.

    What was wiped out, or never there, has next to none of them. New words go on in whoever writes fluently.
    """
    line = lines.get("continued")
    if line is None or line.in_words:
        return None
    enough = (line.n >= rule.min_problems) & (line.above >= rule.min_over_null)
    return enough & (line.share.low > rule.steps_above) & (p["continued"] <= rule.alpha)


def less_than_half(
    lines: Mapping[LineName, LineEstimates], rule: Rule
) -> dict[LineName, Bool[ndarray, " resample"]]:
    """Readings that rest on enough problems and surely show less than `latent_above`, or of which no share is
    taken, since on this split the stronger's is not over the null, surely and by `min_over_null`: nothing is
    read there."""
    return {
        name: (line.n >= rule.min_problems)
        & (
            np.isnan(line.share.value)
            | (line.above < rule.min_over_null)
            | (line.highest < rule.latent_above)
        )
        for name, line in lines.items()
        if name == "decodable"
    }
