"""The rule from evidence to verdict. Its thresholds are in configs/verdict.yaml; nothing else decides.

Every line of evidence is a share: of what the stronger checkpoint shows over the line's null, how much does
the weaker one show? A share surely above `latent_above` says `latent`, one surely below `absent_below` says
`absent`.

The rule takes arrays whose axis is resamples of the problems. The verdict is what the rule gives the problems
themselves (one row); its stability is the share of resamples to which the same rule gives the same verdict.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import inf, nan
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.activations.errors import shown
from undertext.core.statistics import (
    Estimate,
    Intervals,
    holm,
    mean_intervals,
    paired_difference,
    proportion,
    resample_weights,
    smallest_detectable,
)
from undertext.core.terms import ROLES, LineName, Role
from undertext.jobs.compare.change import Change, changes, difference_of
from undertext.jobs.compare.changed_weights import Withstood, too_small
from undertext.jobs.compare.confidence import confidence, contradicting
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.enough import enough
from undertext.jobs.compare.form import format_flag
from undertext.jobs.compare.judgement import Judgement, Words
from undertext.jobs.compare.latent import Opened
from undertext.jobs.compare.provisos import WORDED, less_than_half, still_going, untried
from undertext.jobs.compare.raw_line import LineEstimates, RawLine
from undertext.jobs.compare.result import EvidenceLine, SplitResult
from undertext.measures.answers import Answers
from undertext.tasks.grade import Grader

RESAMPLES = 1000
"""Resamples of the problems that a verdict's stability is the share of."""
SAME_NULL = 0.1
"""A key's two nulls that differ by less are not told apart in its note."""
FEW = 50
"""With fewer problems a flag warns that intervals are wide."""


def judge(
    difference: Change,
    over_chance: Mapping[Role, Intervals],
    below_chance: Mapping[Role, Words],
    lines: Mapping[LineName, LineEstimates],
    weaker: Role | Literal["neither"],
    rule: Rule,
    alike: Collection[Role] = (),
    withstood: Intervals | None = None,
) -> Judgement:
    """The rule. `difference` is in accuracy, tuned less base; `lines` were measured on `weaker`.

    `over_chance` is each checkpoint's accuracy less what its outputs score on other problems. The better
    checkpoint must solve the task, surely and by `min_gap` over chance: without a capability there is no
    verdict. A weaker one that answers every prompt `alike`, or is `below_chance`, shows nothing by what it
    lacks. Neither is anything gone where the better checkpoint surely keeps more than `latent_above` of its
    accuracy under a change of the same size (`withstood`). A resample in which another checkpoint is the
    weaker one has no lines, and nothing to decide it.
    """
    changed = changes(difference, rule)
    base, tuned = (
        (over.low > 0) & (over.value >= rule.min_gap) for over in (over_chance[role] for role in ROLES)
    )
    solved = np.select([changed == "better", changed == "worse"], [tuned, base], base | tuned)
    corrected: dict[LineName, Float[ndarray, " resample"]] = {}
    if lines:
        p = holm(np.stack([line.p for line in lines.values()], -1))
        corrected = {name: p[:, i] for i, name in enumerate(lines)}
    says = {name: line_says(name, line, corrected[name], rule) for name, line in lines.items()}
    measured = changed == {"base": "better", "tuned": "worse", "neither": ""}[weaker]

    too_little = np.zeros(len(changed), bool) if withstood is None else withstood.low > rule.latent_above

    def found_by(says: Mapping[LineName, Words]) -> Words:
        under_half = less_than_half(lines, rule)
        going_on = still_going(lines, corrected, rule)
        found = capability(says, len(changed), untried(lines, rule), under_half, too_little, going_on)
        found = np.where(measured & solved, found, "unclear")
        if weaker != "neither":
            broken = below_chance[weaker] | (weaker in alike)
            found = np.where((found == "absent") & broken, "unclear", found)
        return found

    def concluded(says: Mapping[LineName, Words]) -> Words:
        found = found_by(says)
        found = np.where((found == "absent") & too_little, "unclear", found)
        return np.where(solved, verdicts(changed, found), "undetermined")

    return Judgement(
        concluded(says),
        says,
        corrected,
        changed,
        solved,
        difference.plain,
        over_chance,
        concluded,
        (found_by(says) == "absent") & too_little,
    )


def line_says(name: LineName, line: LineEstimates, p: Float[ndarray, " resample"], rule: Rule) -> Words:
    """What a line says, given its corrected p.

    Samples that miss prove nothing, nor does noise, nor do steps that are not written, nor a way back that
    leads through other weights, nor one wording more: `behaviour`, `rephrased`, `noised`, `stated` and
    `undone` say no `absent`.
    Unfinished outputs might have been right: a line says `absent` where it would if all of them were.
    Of few answers the null of a key, which keeps the weaker's lucky answers, is more than a key reaches that
    opens half, and may leave nothing of the stronger's to take a share of. So a key that surely does more
    than the stronger says `latent` without a share, and `absent` needs a share surely below `latent_above`
    over guesses made anew as well, or below `absent_below` where that is the only one.
    """
    enough, over_null = line.n >= rule.min_problems, line.above >= rule.min_over_null
    over = rule.undone_above if name == "undone" else rule.latent_above
    more = line.exceeds & (line.over >= rule.min_over_null)
    latent = enough & ((over_null & (line.share.low > over)) | more) & (p <= rule.alpha)
    below = over_null & (line.highest < rule.absent_below) & ~(line.anew >= rule.latent_above)
    alone = ~(over_null & np.isfinite(line.share.value)) & (line.anew < rule.absent_below)
    alone &= line.above_anew >= rule.min_over_null
    absent = enough & (below | alone) & (name not in NO_ABSENCE)
    return np.select([latent, absent], ["latent", "absent"], "unclear")


NO_ABSENCE: tuple[LineName, ...] = ("behaviour", "rephrased", "noised", "stated", "undone")
"""Lines that find a capability and cannot miss one."""
KEYS: tuple[LineName, ...] = ("behaviour", "rephrased", *WORDED, "noised", "recovered")
"""Lines of what says nothing new of the problem: what it lets a checkpoint solve was there."""
STEPS: tuple[LineName, ...] = ("continued", "stated", "used")
"""Lines of the steps: they may be there where no key opens the capability. Who has only the parts, or answers
wrong after right steps, goes on from right steps and not to the answer: `used` may say absent there."""


def capability(
    says: Mapping[LineName, Words],
    count: int,
    untried: Mapping[LineName, Bool[ndarray, " resample"]] | None = None,
    under_half: Mapping[LineName, Bool[ndarray, " resample"]] | None = None,
    small: Bool[ndarray, " resample"] | None = None,
    going_on: Bool[ndarray, " resample"] | None = None,
) -> Words:
    """What the lines say together of the capability in the weaker checkpoint: `latent`, `absent`, `unclear`,
    or that its steps are there, `parts` where surely no key opens it, and `steps` where a key may.

    Answers recovered without training are proof: whatever solves the problem was there. Answers not recovered
    are no proof of absence, since steering can miss. Its steps must not go on from right ones either, nor be
    stated or used, its values must surely be read less than half as well (`under_half`), where that was
    measured, and half of the change undone must not bring it back; where `continued` could not be measured,
    `decodable` must say absent, and no line latent. Its steps may be there as well where they do not surely
    stop and its values are read, by its own probes or by the stronger's; and where half of the change undone
    brings the capability back, and the change is `small` (None: it is): of a large one half of the way back
    may lead to weights that have it, though these have it no more.
    Nor are steps gone of which a good part goes on (`going_on`), though not surely half.
    A key of whose outputs too many are unfinished counts as `untried`, and one in words must be shut.
    """

    def those(word: str, *names: LineName) -> list[ndarray]:
        return [says[name] == word if name in says else np.zeros(count, bool) for name in names]

    opened = np.any(those("latent", *KEYS), axis=0)
    # Samples that miss prove nothing; every other key that was tried must surely not open, steering at least.
    none, worded = np.zeros(count, bool), [name for name in WORDED if name in says]
    keys: list[LineName] = [*worded, "recovered"]
    excused = [none if untried is None else untried.get(name, none) for name in keys]
    closed = those("absent", *keys)
    shut = np.all([a | b for a, b in zip(closed, excused, strict=True)], axis=0)
    shut &= np.any(closed[:-1] if worded else closed, axis=0)
    steps = np.any(those("latent", *STEPS), axis=0)
    halfway = np.zeros(count, bool)
    if "continued" in says:
        (stuck,), (unchanged,) = those("absent", "continued"), those("latent", "transported")
        # Tuned to write wrong steps, a checkpoint goes on wrong from right ones, and its values still read.
        # One that learnt nothing may read a value somewhat better than the nulls, which know less than it.
        (unread,) = those("absent", "decodable") if "decodable" in says else (~halfway,)
        if under_half is not None and "decodable" in under_half:
            unread = unread | under_half["decodable"]
        gone = shut & stuck & unread & ~unchanged & ~np.any(those("latent", "stated", "used"), axis=0)
        halfway = ~stuck & np.any(those("latent", "decodable", "transported"), axis=0)
    else:
        spoken_for = np.any([np.zeros(count, bool), *those("latent", *says)], axis=0)
        gone = shut & those("absent", "decodable")[0] & ~spoken_for
    if going_on is not None:
        halfway = halfway | going_on
    (back,) = those("latent", "undone")
    found = [opened, gone & ~back, steps & shut, steps | halfway | (back if small is None else back & small)]
    return np.select(found, ["latent", "absent", "parts", "steps"], "unclear")


def verdicts(changed: Words, found: Words) -> Words:
    """The verdict, from the change in accuracy and what is found of the capability."""
    better, worse = changed == "better", changed == "worse"
    latent, absent, parts = found == "latent", found == "absent", found == "parts"
    # A checkpoint that could do it before and still has its steps is locked, whether a key was found or not.
    locked = worse & np.isin(found, ["parts", "steps"])
    return np.select(
        [
            changed == "none",
            latent & better,
            latent & worse,
            locked,
            parts & better,
            absent & better,
            absent & worse,
        ],
        ["preserved", "elicited", "suppressed", "suppressed", "composed", "taught", "overwritten"],
        "undetermined",
    )


def split_result(
    answers: Mapping[Role, Answers],
    chance: Mapping[Role, Float[ndarray, " problem"]],
    alike: Mapping[Role, str],
    weaker: Role | Literal["neither"],
    lines: Sequence[RawLine],
    flags: Sequence[str],
    rule: Rule,
    seed: int,
    *,
    grader: Grader,
    opened: Opened | None = None,
    withstood: Withstood | None = None,
) -> SplitResult:
    """The verdict on a split from both checkpoints' answers and from the lines measured on the weaker one.

    `chance` is what each output scores on other problems (`chance_right`); `alike` the one answer of each
    checkpoint that gives no other (`same_answer`); `opened` how much of the gap keys open; `withstood` what
    the stronger keeps under a change of the same size.
    """
    base, tuned = (answers[role].lenient for role in ROLES)
    n, units = len(base), answers["base"].clusters

    def judged(weights: Float[ndarray, "resample n"], below: ndarray | None = None) -> Judgement:
        """`below`: how often each problem counts where the rule tells who is below chance."""
        estimates = {line.name: line.estimates(weights, rule.level) for line in lines}
        over = {role: answers[role].lenient - chance[role] for role in ROLES}
        over_chance = {role: mean_intervals(over[role], weights, rule.level, units) for role in ROLES}
        told_by = weights if below is None else np.broadcast_to(below, weights.shape)
        below_chance = {
            role: mean_intervals(over[role], told_by, rule.below_chance, units).high < 0 for role in ROLES
        }
        difference = difference_of(answers, weights, rule)
        kept = None if withstood is None else withstood.shares(weights, rule.level)
        return judge(difference, over_chance, below_chance, estimates, weaker, rule, alike, kept)

    as_it_is = np.ones((1, n))
    itself = judged(as_it_is)
    (verdict,) = itself.verdict.tolist()
    more, kept = None, None if withstood is None else withstood.share(rule.level)
    if not itself.too_small[0] and not any(
        each.unfinished.mean() > rule.max_unfinished for each in answers.values()
    ):
        more = enough(lambda w: judged(w, as_it_is), n, units, weaker, lines, rule, NO_ABSENCE)
    resampled = judged(resample_weights(n, seed, RESAMPLES, units))
    stability = float((resampled.verdict == verdict).mean())
    against = contradicting(verdict, {name: words.tolist()[0] for name, words in itself.says.items()})
    return SplitResult(
        verdict=verdict,
        confidence=confidence(verdict, stability, len(against), rule),
        stability=stability,
        weaker=weaker,
        accuracy={
            "base": proportion(base, rule.level, units),
            "tuned": proportion(tuned, rule.level, units),
            "difference": paired_difference(base, tuned, rule.level, units),
        },
        unfinished={role: float(answers[role].unfinished.mean()) for role in ROLES},
        latent=None if opened is None else opened.latent,
        opened={} if opened is None else opened.by_key,
        withstood=kept,
        evidence=[_reported(line, itself, rule, seed) for line in lines],
        flags=[
            *_flags(answers, chance, alike, rule, grader),
            *_cut_keys(lines, rule),
            *([] if more is None else [more.flag]),
            *([too_small(kept)] if kept is not None and itself.too_small[0] else []),
            *([] if not against else [_against(verdict, against)]),
            *_gone_on(verdict, itself, lines, rule),
            *flags,
        ],
        smallest_detectable_difference=smallest_detectable(
            tuned.astype(float) - base, level=rule.level, clusters=units
        ),
    )


def _against(verdict: str, lines: Sequence[LineName]) -> str:
    return (
        f"contradicted: {' and '.join(f'`{name}`' for name in lines)} {'says' if len(lines) == 1 else 'say'} "
        f"absent, though the verdict is {verdict}; its confidence is lower for it"
    )


def _gone_on(verdict: str, judged: Judgement, lines: Sequence[RawLine], rule: Rule) -> list[str]:
    """Why a lock has a verdict where no line says latent."""
    if verdict != "suppressed" or any(words[0] == "latent" for words in judged.says.values()):
        return []
    (share,) = [line.share(rule.level) for line in lines if line.name == "continued"]
    return [
        f"steps go on: no line says latent, and {share.value:.2f} [{share.low:.2f}, {share.high:.2f}] of the "
        f"next steps go on, surely more than `steps_above` {rule.steps_above:g}: what tuning made worse is "
        "locked, and not gone"
    ]


def _reported(line: RawLine, judged: Judgement, rule: Rule, seed: int) -> EvidenceLine:
    n = len(line.problems) if line.clusters is None else int(line.clusters.max()) + 1
    share = line.share(rule.level)
    if not np.isfinite(share.value):
        over = paired_difference(line.null, line.stronger, rule.level, line.clusters)
        shown = f"{over.value:+.2f} [{over.low:.2f}, {over.high:.2f}]"
        why = f"no share is taken: the stronger's less the null is {shown}"
    elif (ceiling := float((line.stronger - line.null).mean())) < rule.min_over_null:
        why = f"the stronger is only {ceiling:.2f} over the null, too little to take a share of"
        share = Estimate(nan, -inf, inf, n, rule.level)
    elif n < rule.min_problems:
        why = f"only {n} {'problems' if line.clusters is None else 'groups'}, too few to say anything"
    else:
        why = f"share of the stronger's over the null {share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"
    if line.anew is not None and float((line.null - line.anew).mean()) >= SAME_NULL:
        anew = replace(line, null=line.anew).share(rule.level)
        why += f"; over guesses made anew {anew.value:.2f} [{anew.low:.2f}, {anew.high:.2f}]"
    weaker, null = (line.shown(figure, seed=seed, level=rule.level) for figure in (line.weaker, line.null))
    (says,), (p,) = judged.says[line.name].tolist(), judged.p[line.name].tolist()
    if says == "latent" and not np.isfinite(share.value):
        why += "; under this key it surely does better than the stronger"
    return EvidenceLine(line.name, says, weaker, null, p, line.access, f"{line.note}; {why}", share)


def _cut_keys(lines: Sequence[RawLine], rule: Rule) -> list[str]:
    cut = {line.name: line.unfinished.mean() for line in lines if line.unfinished is not None}
    return [
        f"{name}: {share:.0%} of the outputs under this key are unfinished; where they are surely no better "
        "than without it, the key counts as not tried"
        for name, share in cut.items()
        if name in (*WORDED, "recovered") and share > rule.max_unfinished
    ]


def _flags(
    answers: Mapping[Role, Answers],
    chance: Mapping[Role, Float[ndarray, " problem"]],
    alike: Mapping[Role, str],
    rule: Rule,
    grader: Grader,
) -> list[str]:
    flags = []
    form = format_flag(answers, rule, grader)
    flags += [] if form is None else [form]
    over, lowest = (
        {
            role: paired_difference(chance[role], each.lenient, level, each.clusters)
            for role, each in answers.items()
        }
        for level in (rule.level, rule.below_chance)
    )
    if not any(each.low > 0 and each.value >= rule.min_gap for each in over.values()):
        figures = ", ".join(f"{role} {each.value:+.2f}" for role, each in over.items())
        flags.append(
            "neither checkpoint solves the task, so there is no capability to compare (accuracy over what "
            f"the same outputs score on other problems: {figures})"
        )
    for role in ROLES:
        if role in alike:
            flags.append(
                f"{role} answers every prompt alike ({shown(alike[role], 60)}): "
                "what it fails to show is no evidence"
            )
        elif lowest[role].high < 0:
            flags.append(
                f"{role} is below chance: accuracy {answers[role].lenient.mean():.2f}, where its outputs "
                f"score {chance[role].mean():.2f} on other problems; what it fails to show is no evidence"
            )
    n, units = len(answers["base"].lenient), answers["base"].clusters
    if units is not None:
        flags.append(f"{n} problems of {units.max() + 1} groups: intervals and tests count the groups")
    if (few := n if units is None else int(units.max()) + 1) < FEW:
        flags.append(f"only {few} {'problems' if units is None else 'groups'}: intervals are wide")
    return flags
