"""What the rule gives: its words for the problems as they are, and for resamples of them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxtyping import Bool, Float, Shaped
from numpy import ndarray

from undertext.core.statistics import Intervals
from undertext.core.terms import LineName, Role

Words = Shaped[ndarray, " resample"]
"""One of a few words for each resample."""


class Judgement(NamedTuple):
    """What the rule gives, in each resample of the problems."""

    verdict: Words
    says: Mapping[LineName, Words]
    p: Mapping[LineName, Float[ndarray, " resample"]]
    """Holm-corrected over the lines."""
    changed: Words
    """Whether tuning changed accuracy."""
    solved: Bool[ndarray, " resample"]
    """Whether the better checkpoint surely solves the task."""
    difference: Intervals
    """In accuracy, tuned less base."""
    over_chance: Mapping[Role, Intervals]
    """Each checkpoint's accuracy less what its outputs score on other problems."""
    concluded: Callable[[Mapping[LineName, Words]], Words]
    """The verdict, were these what the lines say."""
    too_small: Bool[ndarray, " resample"]
    """Whether lines say absent, and the change is too small for that."""
