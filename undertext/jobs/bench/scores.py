"""How well judges did on cases of known truth."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import combinations, pairwise
from typing import Any, get_args

import numpy as np

from undertext.core.statistics import Estimate, paired_difference
from undertext.core.terms import Verdict
from undertext.jobs.bench.case import ABSENT, LATENT, MIXTURE, PARTS, Case, Judged, Part
from undertext.jobs.bench.plan import read_plan
from undertext.jobs.bench.rates import Effort, Rate, Tally, by_problems, rate, tallies, tally, thirds, worlds
from undertext.jobs.bench.records import merged

EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Bins of the confidence: above the lower edge, up to the upper one; the first holds 0 as well.

Fixed edges, since confidences pile up at 1 (bins of equal count would split ties by chance), since bins of
two judges or parts are then the same, and since `CONFIDENT` is an edge."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
TRUTHS = tuple(verdict for verdict in VERDICTS if verdict != "undetermined")
GROUPS: Mapping[str, Callable[[Judged], str]] = {
    "truth": lambda each: each.case.truth,
    "organism": lambda each: each.case.organism,
    "family": lambda each: each.case.family,
    "shape": lambda each: each.case.shape,
    "tokenizer": lambda each: each.case.tokenizer,
    "split": lambda each: each.case.split,
}
"""What cases are grouped by."""


@dataclass(frozen=True)
class FalseRate:
    """How often cases of some truths are called the opposite."""

    of_cases: Rate
    of_given: Rate
    """The same, of those cases on which a verdict was given."""


@dataclass(frozen=True)
class Bin:
    """Verdicts given with a confidence above `low`, up to `high`."""

    low: float
    high: float
    confidence: float
    """The mean."""
    right: Rate


@dataclass(frozen=True)
class Reliability:
    """How far the confidence is the share of verdicts that are right, among verdicts given."""

    bins: tuple[Bin, ...]
    """Those that hold any."""
    brier: Estimate | None
    """Mean of (confidence - right)^2, interval by world; None where no verdict was given."""
    constant: float | None
    """Brier score of always saying the share that is right: what is below it tells right from wrong."""
    calibration_error: float | None
    """Expected calibration error: mean over verdicts of |share right - mean confidence| of their bin."""
    overconfidence: float | None
    """Mean confidence less share right."""


@dataclass(frozen=True)
class ShareError:
    """The share latent, where construction tells it; signed errors are said less known."""

    known: int
    """Cases whose share is known."""
    covered: Rate
    """Of those for which the judge said a share: known share within the interval."""
    absolute: Estimate | None
    """Mean absolute error; interval by world, -inf to inf for one world."""
    bias: Estimate | None
    """Mean error; interval as that of `absolute`."""


@dataclass(frozen=True)
class Contradictions:
    """Cases that a judge judged with two seeds or more."""

    differ: Rate
    """Of these cases: two seeds gave verdicts, and unlike ones."""
    flip: Rate
    """Of these cases: one seed gave a verdict, and another said `undetermined`."""
    pairs: int
    """Pairs of seeds on one case."""
    pairs_differ: int
    pairs_flip: int
    cases: tuple[str, ...]
    """Names of those that differ."""


@dataclass(frozen=True)
class JudgeScores:
    """A judge on a part. A case counts once, by the judge's smallest seed on it, unless a field says more."""

    judge: str
    part: Part
    all: Tally
    ambiguous: int
    """Cases that were judged, and are not scored."""
    missing: int
    """Scored cases of the part that another judge was asked and this one was not."""
    confusion: Mapping[Verdict, Mapping[Verdict, int]]
    """Number of cases by truth and verdict; truths that occur, and every verdict."""
    precision: Mapping[Verdict, Rate]
    """Of the cases that the judge calls so: that is their truth. All of `TRUTHS`."""
    groups: Mapping[str, Mapping[str, Tally]]
    """By `GROUPS`, and by name; cases of a truth in the order of `TRUTHS`."""
    seeds: Mapping[int, Tally]
    """By seed of the judge: all that was judged with it."""
    false_latent: FalseRate
    """Of cases taught or overwritten: called elicited, composed or suppressed."""
    false_absent: FalseRate
    """Of cases elicited, composed or suppressed: called taught or overwritten."""
    silent_preserved: Rate
    """Of preserved cases: called undetermined, which is silent and not wrong."""
    reliability: Reliability
    share: ShareError
    contradictions: Contradictions
    seconds: tuple[Effort, ...]
    """Thirds of the cases by the seconds taken."""
    problems: tuple[Effort, ...]
    """By number of problems: each number, or thirds where there are more than `FEW`."""
    wrong: tuple[Judged, ...]
    """Wrong verdicts, the most confident first."""


@dataclass(frozen=True)
class Scores:
    """What judges are worth."""

    judges: tuple[JudgeScores, ...]
    """By part, `held out` first, then by the share of cases that are right."""
    ambiguous: tuple[Case, ...]
    """Cases that are not scored."""
    leaks: tuple[str, ...]
    """Worlds with cases in both parts: what is held out there was not."""
    worlds: Mapping[Part, tuple[str, ...]]
    """Worlds of each part of which something was judged."""
    unplanned: tuple[Case, ...]
    """Cases of worlds that the shipped plan has, of organisms that it has not (any more) in that world."""

    def of(self, judge: str, part: Part) -> JudgeScores | None:
        """One judge on one part; None where it judged nothing there."""
        return next((each for each in self.judges if (each.judge, each.part) == (judge, part)), None)


def score_records(records: Iterable[Judged]) -> Scores:
    """Score every judge on every part. UserError as `merged`.

    The order of the records does not matter.
    """
    judged = merged(records)
    scored = [each for each in judged if not each.case.ambiguous]
    judges = []
    for part in reversed(PARTS):
        asked = {each.case.key for each in scored if each.case.part == part}
        names = sorted({each.judge for each in judged if each.case.part == part})
        of_part = []
        for name in names:
            own = [each for each in judged if (each.judge, each.case.part) == (name, part)]
            of_part.append(_judge(name, part, own, len(asked)))
        judges += sorted(of_part, key=lambda each: -(each.all.right_of_all.value or 0))
    ambiguous = {each.case.key: each.case for each in judged if each.case.ambiguous}
    parts = {part: {each.case.world for each in judged if each.case.part == part} for part in PARTS}
    leaks = tuple(sorted(set.intersection(*parts.values())))
    by_part: dict[Part, tuple[str, ...]] = {part: tuple(sorted(names)) for part, names in parts.items()}
    planned = {plan.world.name: plan.organisms for plan in read_plan().worlds}
    cases = {each.case.key: each.case for each in judged}.values()
    unplanned = [each for each in cases if each.organism not in planned.get(each.world, (each.organism,))]
    return Scores(tuple(judges), tuple(ambiguous.values()), leaks, by_part, tuple(unplanned))


def plain_scores(scores: Any) -> Any:
    """Scores as JSON has them: keyed by their fields, a case by its name."""
    match scores:
        case Case():
            return scores.name
        case Mapping():
            return {str(key): plain_scores(value) for key, value in scores.items()}
        case tuple() | list():
            return [plain_scores(value) for value in scores]
    if is_dataclass(scores):
        return {field.name: plain_scores(getattr(scores, field.name)) for field in fields(scores)}
    return scores


def _judge(name: str, part: Part, judged: Sequence[Judged], asked: int) -> JudgeScores:
    by_case: dict[tuple[str, ...], list[Judged]] = {}  # in the order of seeds
    for each in judged:
        if not each.case.ambiguous:
            by_case.setdefault(each.case.key, []).append(each)
    first = [each[0] for each in by_case.values()]
    mixtures = {each.case.key: each for each in reversed(judged) if each.case.ambiguous == MIXTURE}
    repeated = [each for of_case in by_case.values() for each in of_case]
    truths = [truth for truth in TRUTHS if any(each.case.truth == truth for each in first)]
    preserved = [each for each in first if each.case.truth == "preserved"]
    groups = {by: tallies(first, key) for by, key in GROUPS.items()}
    return JudgeScores(
        judge=name,
        part=part,
        all=tally(first),
        ambiguous=len({each.case.key for each in judged if each.case.ambiguous}),
        missing=asked - len(first),
        confusion={
            truth: {
                verdict: sum((each.case.truth, each.verdict) == (truth, verdict) for each in first)
                for verdict in VERDICTS
            }
            for truth in truths
        },
        precision={
            verdict: rate([e for e in first if e.verdict == verdict], lambda each: each.right)
            for verdict in TRUTHS
        },
        groups={**groups, "truth": {truth: groups["truth"][truth] for truth in truths}},
        seeds={
            number: tally([e for e in repeated if e.seed == number])
            for number in sorted({e.seed for e in repeated})
        },
        false_latent=_called(first, ABSENT, LATENT),
        false_absent=_called(first, LATENT, ABSENT),
        silent_preserved=rate(preserved, lambda each: not each.given),
        reliability=_reliability(first),
        share=_share([*first, *mixtures.values()]),
        contradictions=_contradictions([of_case for of_case in by_case.values() if len(of_case) > 1]),
        seconds=thirds(first, lambda each: each.seconds),
        problems=by_problems(first),
        wrong=tuple(
            sorted((e for e in first if e.given and not e.right), key=lambda e: (-e.confidence, e.key))
        ),
    )


def _called(judged: Sequence[Judged], truths: Sequence[Verdict], verdicts: Sequence[Verdict]) -> FalseRate:
    cases = [each for each in judged if each.case.truth in truths]
    given = [each for each in cases if each.given]
    return FalseRate(*(rate(some, lambda each: each.verdict in verdicts) for some in (cases, given)))


def _reliability(judged: Sequence[Judged]) -> Reliability:
    given = [each for each in judged if each.given]
    if not given:
        return Reliability((), None, None, None, None)
    right = np.array([each.right for each in given], float)
    confidence = np.array([each.confidence for each in given], float)
    bins = []
    for low, high in pairwise(EDGES):
        held = [e for e in given if low < e.confidence <= high or (low, e.confidence) == (EDGES[0], EDGES[0])]
        if held:
            mean = float(np.mean([each.confidence for each in held]))
            bins.append(Bin(low, high, mean, rate(held, lambda each: each.right)))
    off = [each.right.of * abs((each.right.value or 0) - each.confidence) for each in bins]
    brier = paired_difference(np.zeros(len(given)), (confidence - right) ** 2, clusters=worlds(given))
    return Reliability(
        tuple(bins),
        Estimate(brier.value, max(0.0, brier.low), brier.high, brier.n, brier.level),
        float(right.mean() * (1 - right.mean())),
        sum(off) / len(given),
        float(confidence.mean() - right.mean()),
    )


def _share(judged: Sequence[Judged]) -> ShareError:
    known = [(each, each.case.share) for each in judged if each.case.share is not None]
    said = [(each, share, truth) for each, truth in known if (share := each.share) is not None]
    cases = [each for each, _, _ in said]
    inside = {each.key for each, (_, low, high), truth in said if low <= truth <= high}
    errors = np.array([value - truth for _, (value, _, _), truth in said])

    def mean(values: np.ndarray) -> Estimate | None:
        if not said:
            return None
        if (clusters := worlds(cases)).max() == 0:
            return Estimate(float(values.mean()), float("-inf"), float("inf"), len(said))
        most = max(1.0, float(np.abs(values).max()))  # a share may be said far below zero
        found = paired_difference(np.zeros(len(said)), values / most, clusters=clusters)
        low, high = most * found.low, most * found.high
        return Estimate(most * found.value, low, high, found.n, found.level)

    absolute = mean(np.abs(errors))
    if absolute is not None and np.isfinite(absolute.low):
        absolute = replace(absolute, low=max(0.0, absolute.low))
    covered = rate(cases, lambda each: each.key in inside)
    return ShareError(len(known), covered, absolute, mean(errors))


def _contradictions(repeated: Sequence[Sequence[Judged]]) -> Contradictions:
    pairs = [pair for of_case in repeated for pair in combinations(of_case, 2)]

    def differ(one: Judged, other: Judged) -> bool:
        return one.given and other.given and one.verdict != other.verdict

    def flip(one: Judged, other: Judged) -> bool:
        return one.given != other.given

    def cases(what: Callable[[Judged, Judged], bool]) -> set[str]:
        return {one.case.name for one, other in pairs if what(one, other)}

    firsts, unlike, flipped = [of_case[0] for of_case in repeated], cases(differ), cases(flip)
    return Contradictions(
        differ=rate(firsts, lambda each: each.case.name in unlike),
        flip=rate(firsts, lambda each: each.case.name in flipped),
        pairs=len(pairs),
        pairs_differ=sum(differ(*pair) for pair in pairs),
        pairs_flip=sum(flip(*pair) for pair in pairs),
        cases=tuple(sorted(unlike)),
    )
