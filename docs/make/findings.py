"""Sentences that follow from measured figures and their intervals, whichever way these turn out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from undertext.core.statistics import Estimate

UNRELATED = 0.1
"""Largest distance of an AUROC from 0.5 at which a feature's firing is called unrelated to a value."""


def names(of: Sequence[str]) -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{name}`" for name in of]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def recovered(what: str, gaps: Mapping[str, Estimate | None]) -> str:
    """In which checkpoints `what` recovers part of the gap: where the interval lies above zero."""
    above = [name for name, gap in gaps.items() if gap is not None and gap.low > 0]
    not_above = [name for name, gap in gaps.items() if gap is not None and gap.low <= 0]
    without = [name for name, gap in gaps.items() if gap is None]
    said = []
    if above:
        said.append(f"{what} recovers part of the gap in {names(above)}: the interval lies above zero.")
    if not_above:
        said.append(
            f"No recovery by {_lower(what)} is shown in {names(not_above)}: the interval does not lie above "
            "zero."
        )
    if without:
        said.append(f"There is no gap in {names(without)}.")
    return " ".join(said)


def compared(what: str, other: str, differences: Mapping[str, Estimate]) -> str:
    """Where `what` does better than, as well as, or worse than `other`, by the interval of the difference."""
    better = [name for name, difference in differences.items() if difference.low > 0]
    worse = [name for name, difference in differences.items() if difference.high < 0]
    alike = [name for name in differences if name not in better and name not in worse]
    said = []
    if better:
        said.append(f"better than {other} in {names(better)}")
    if worse:
        said.append(f"worse than {other} in {names(worse)}")
    if alike:
        said.append(f"neither better nor worse than {other}, as far as the interval tells, in {names(alike)}")
    return f"{what} does {'; '.join(said)}." if said else ""


def at_equal_dose(what: str, other: str, doses: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """At how many doses the mean of `what` is above that of `other`: by checkpoint, the two means a dose."""
    counts = [
        f"{sum(one > two for one, two in means)} of {len(means)} doses in `{name}`"
        for name, means in doses.items()
    ]
    return f"At equal dose the mean of {what} is above that of {other} at {', '.join(counts)}."


def unrelated_firing(distance: Mapping[str, float], frequency: Mapping[str, float]) -> str:
    """Where features fire at least half as often as in the base, and unrelated to the values; else nothing.

    `distance` is the largest distance from 0.5 of the features' AUROCs for their values, `frequency` how
    often they fire over how often in the base.
    """
    apart = [name for name in distance if distance[name] <= UNRELATED and frequency[name] >= 0.5]
    if not apart:
        return ""
    return (
        f"In {names(apart)} these features fire, but unrelated to the values: every AUROC is within "
        f"{UNRELATED:g} of 0.5."
    )


def ablation(differences: Mapping[str, Estimate]) -> str:
    """Where ablating a value's own feature lowers the share written right by more than its controls do."""
    used = [name for name, difference in differences.items() if difference.high < 0]
    unused = [name for name in differences if name not in used]
    said = []
    if used:
        said.append(
            f"Ablating the value's own feature costs more than ablating its controls in {names(used)}."
        )
    if unused:
        said.append(f"In {names(unused)} no such cost is shown: the interval does not lie below zero.")
    return " ".join(said)


class Transfer(NamedTuple):
    """How well an organism's probe reads, on the organism and on the base."""

    selectivity: float
    """Accuracy on the organism less that on control labels."""
    own: float
    """Accuracy on the organism."""
    plain: float
    """Accuracy on the base as it is."""
    aligned: float
    """Accuracy on the base after a rotation."""


def one_code(transfers: Mapping[str, Transfer], least: float) -> str:
    """Whose code is the base's, by organism; a difference in accuracy counts from `least` on."""
    one, rotated, other, unread = (list[str]() for _ in range(4))
    for name, transfer in transfers.items():
        if transfer.selectivity < least:
            unread.append(name)
        elif transfer.own - transfer.plain < least:
            one.append(name)
        else:
            (rotated if transfer.own - transfer.aligned < least else other).append(name)
    said = [
        (one, "one code with the base, read as well on the base as on itself."),
        (rotated, "the same content in another code, read on the base after the rotation."),
        (other, "read on itself, and not on the base."),
        (unread, "nothing is read on itself that could be transferred."),
    ]
    return "\n".join(f"- {names(organisms)}: {what}" for organisms, what in said if organisms)


def beyond_stronger(gaps: Sequence[Estimate | None]) -> str:
    """Which routes, by their place from 1, recover more than the whole gap; nothing where none does."""
    beyond = [place for place, gap in enumerate(gaps, 1) if gap is not None and gap.low > 1]
    return f"More than the whole gap: {_places(beyond)}." if beyond else ""


def routes_above_zero(routes: Sequence[tuple[bool, Estimate | None]]) -> str:
    """Which routes, by their place from 1, recover part of the gap: whether a route trained, and its gap."""
    said = []
    for training, kind in ((False, "without training"), (True, "with training")):
        gaps = {
            place: gap
            for place, (trained, gap) in enumerate(routes, 1)
            if trained == training and gap is not None
        }
        above = [place for place, gap in gaps.items() if gap.low > 0]
        if gaps:
            which = f": {_places(above)}" if above else ""
            said.append(f"Of {len(gaps)} routes {kind}, {len(above)} with an interval above zero{which}.")
    return " ".join(said)


def _places(places: Sequence[int]) -> str:
    return ", ".join(map(str, places))


def _lower(what: str) -> str:
    return what[0].lower() + what[1:]


def came_out(decides: Sequence[tuple[str | None, float, Estimate | None]]) -> str:
    """Whether a finding came out: for each figure that decides what the finding says, its margin, and it.

    `more` and `less` want the whole interval on one side of zero, `not less` above less the margin.
    """
    sure = 0
    against = 0
    for says, margin, found in decides:
        if found is None:
            continue
        low, high = (-found.high, -found.low) if says == "less" else (found.low, found.high)
        least = -margin if says == "not less" else 0.0
        sure += low > least
        against += high < least
    if sure == len(decides):
        return "came out"
    if against:
        return f"did not come out: {against} of {len(decides)} figures lie on the other side"
    return f"did not come out surely: {sure} of {len(decides)} figures lie on the side that it says"
