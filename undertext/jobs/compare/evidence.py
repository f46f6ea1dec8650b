"""The lines of evidence on whether the weaker checkpoint of a pair holds what the stronger one shows.

Each line is figures of problems, made of what was measured. What a line says is for the rule (verdict.py).
"""

from collections.abc import Mapping, Sequence
from math import log2
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.core.printable import shown
from undertext.core.statistics import (
    Clusters,
    among,
    pass_at_k,
)
from undertext.core.terms import CHOOSE, CONTROL_KINDS, Access, LineName
from undertext.jobs.compare.changed_weights import OtherWeights, Withstood, undone_line, withstood
from undertext.jobs.compare.config import CompareConfig, Rule
from undertext.jobs.compare.guessed import guessed_anew
from undertext.jobs.compare.latent import Opened, opened
from undertext.jobs.compare.measured import Measured
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.rephrased import rephrased_line
from undertext.jobs.compare.step_lines import continued_line, stated_line
from undertext.jobs.compare.used import used_line
from undertext.measures.answers import Answers, Samples
from undertext.measures.decoding.readings import NULLS, Readings
from undertext.measures.keys import KeyKind, KeysTried
from undertext.measures.recovery.estimate import estimate_recovery
from undertext.measures.recovery.search import SteeredAnswers, SteeringSearch
from undertext.tasks.draws import clusters
from undertext.tasks.output_grader import chance_note, chance_right
from undertext.tasks.task import Task
from undertext.tasks.value_positions import values_not_said, values_said_twice


class SplitEvidence(NamedTuple):
    """What was measured on one split, for the rule and beside it."""

    lines: list[RawLine]
    flags: list[str]
    opened: Opened
    withstood: Withstood | None
    """What the stronger keeps under a change of the same size, where tuning made it worse."""


def behaviour_line(
    samples: Samples, task: Task, split: str, gap: Sequence[int], config: CompareConfig, rule: Rule
) -> tuple[RawLine, int]:
    """pass@k of the weaker checkpoint, from its `samples` of the problems in the gap; and k.

    Its null is what the same samples would pass by chance: each sample right with the share of other
    problems whose answer it matches. k is the largest for which the null is at most `max_chance`: of few
    answers, enough guesses hold the right one.
    """
    problems = task.split(split)
    own = [problems[i] for i in gap]
    chance = np.stack(
        [
            chance_right(task, own, [row[j] for row in samples.texts], samples.unfinished[:, j], problems)
            for j in range(config.samples)
        ],
        axis=1,
    )
    nulls = {k: pass_at_k(chance, k) for k in range(1, config.samples + 1)}
    k = max((k for k, null in nulls.items() if null.mean() <= rule.max_chance), default=1)
    line = RawLine(
        name="behaviour",
        problems=np.asarray(gap),
        clusters=clusters(own),
        weaker=pass_at_k(samples.right, k),
        stronger=np.ones(len(gap)),
        null=nulls[k],
        access="none",
        note=f"pass@{k} of {config.samples} samples at temperature {config.temperature:g} on the {len(gap)} "
        f"problems in the gap; null: the same samples graded against other problems' answers, "
        f"{nulls[config.samples].mean():.2f} for pass@{config.samples}{_cut(samples.unfinished)}"
        f"{chance_note(task, len(gap) * config.samples)}",
    )
    return line, k


def _cut(unfinished: ndarray) -> str:
    """How many outputs were unfinished, as the end of a note."""
    return f"; {unfinished.sum()} of {unfinished.size} outputs unfinished" if unfinished.any() else ""


def _best_null(readings: Readings, name: str) -> tuple[float, str]:
    """The null that reads a value best on dev: its accuracy there, and its name."""
    accuracy = {null: readings.accuracy(name, CHOOSE, null) for null in NULLS}
    null = max(accuracy, key=lambda each: accuracy[each])
    return accuracy[null], null


def carried_values(readings: Readings, margin: float) -> list[str]:
    """Values that the stronger checkpoint itself carries on dev, by `margin` over every null."""
    return [
        name
        for name in readings.classes
        if readings.accuracy(name, CHOOSE, "stronger") >= margin + _best_null(readings, name)[0]
    ]


def reading_flags(readings: Readings, task: Task, carried: Sequence[str]) -> list[str]:
    """Which of the task's values were not read, or only in part, and why; why no value is carried."""
    flags = [f"value {shown(name)} was not read: {why}" for name, why in readings.unread.items()]
    flags += [
        f"value {shown(name)} has many values: read in {count} groups of size"
        for name, count in readings.grouped.items()
        if name in readings.classes
    ]
    counts = (("does not say it", values_not_said), ("says it earlier too", values_said_twice))
    flags += [
        f"value {shown(name)}: not read in {count} places of the task, where its step {why}"
        for why, counted in counts
        for name, count in counted(task.problems).items()
    ]
    if not task.names_values:
        flags.append("the task names no values: its answer was read instead, at the end of the prompt")
    if not carried:
        nothing = "so `decodable` and `transported` were not measured"
        if readings.classes:
            best = {name: _best_null(readings, name) for name in readings.classes}
            read = [
                f"{shown(name)} {readings.accuracy(name, CHOOSE, 'stronger'):.2f}, best null {most:.2f}, "
                f"{null.replace('_', ' ')}"
                for name, (most, null) in best.items()
            ]
            flags.append(
                f"not carried: on dev the stronger checkpoint's own probes read no value far enough over the "
                f"nulls ({'; '.join(read)}), {nothing}"
            )
        else:
            why = "no probe can be fitted to the task's values"
            if not readings.unread:
                why = "no step of train has a value that is still to be said"
            flags.append(f"nothing to read: {why}, {nothing}")
    return flags


def reading_lines(
    readings: Readings, split: str, names: Sequence[str], gap: Sequence[int], units: Clusters = None
) -> list[RawLine]:
    """The lines `decodable` and `transported` over the problems in the gap, on the values `names`.

    `units` are the groups of the split's problems.
    """
    null_of = {name: _best_null(readings, name)[1] for name in names}
    null = readings.per_problem(names, split, lambda name: null_of[name])
    stronger = readings.per_problem(names, split, lambda _: "stronger")
    nulls = ", ".join(f"{name}: {null_of[name].replace('_', ' ')}" for name in names)

    def line(name: LineName, source: str, access: Access, what: str) -> RawLine | None:
        if any((each, source) not in readings.chosen for each in names):
            return None
        figures = readings.per_problem(names, split, lambda _: source)
        problems = [i for i in gap if i in figures]
        if not problems:
            return None
        return RawLine(
            name=name,
            problems=np.array(problems),
            clusters=among(units, np.array(problems)),
            weaker=np.array([figures[i] for i in problems]),
            stronger=np.array([stronger[i] for i in problems]),
            null=np.array([null[i] for i in problems]),
            access=access,
            note=f"{what}, read on the weaker where each value is about to be said, on {len(problems)} "
            f"problems; null: the best of control labels, surface, window and random init on dev ({nulls})",
        )

    own = line("decodable", "weaker", "none", "probes fitted on the weaker checkpoint")
    moved = "the stronger checkpoint's probes, unchanged"
    transported = line("transported", "transported", "stronger's activations", moved)
    return [each for each in (own, transported) if each is not None]


def _regained(
    name: LineName,
    own: Answers | SteeredAnswers,
    task: Task,
    split: str,
    weaker: Answers,
    stronger: Answers,
    by_chance: Float[ndarray, " problem"],
    access: Access,
    what: str,
) -> RawLine:
    """A line of accuracy under a key, over what outputs without information reach.

    Its null keeps every problem the weaker checkpoint had right and credits the others with the chance that
    the output is right for some other problem: all that outputs without information about theirs can do.
    Of few answers that is more than a key reaches which opens half, so that absence is held against a second
    null as well (`guessed_anew`; `by_chance` is what the weaker's own outputs score on other problems).
    """
    problems, before = task.split(split), weaker.lenient.astype(float)
    chance = chance_right(task, problems, own.texts, own.unfinished)
    return RawLine(
        name=name,
        problems=np.arange(len(problems)),
        clusters=weaker.clusters,
        weaker=own.lenient.astype(float),
        stronger=stronger.lenient.astype(float),
        null=before + (1 - before) * chance,
        anew=guessed_anew(before, by_chance, chance),
        access=access,
        note=f"recovered gap of {what}; null: the same outputs graded against other problems' answers where "
        f"the weaker was wrong{_cut(own.unfinished)}{chance_note(task, len(problems))}",
        unaided=before,
        unfinished=own.unfinished,
    )


def key_lines(
    tried: KeysTried,
    keyed: Mapping[KeyKind, Answers],
    task: Task,
    split: str,
    weaker: Answers,
    stronger: Answers,
    by_chance: Float[ndarray, " problem"],
) -> list[RawLine]:
    """The lines `prompted`, `prefilled` and `noised`: accuracy under the best key of each kind on dev."""
    lines = []
    for kind, own in keyed.items():
        key = tried.best[kind]
        count = sum(each.kind == kind and each.name in tried.accuracy for each in tried.keys)
        what = f"the key {key.name}, chosen on dev among {count}"
        lines.append(_regained(kind, own, task, split, weaker, stronger, by_chance, key.access, what))
    return lines


def recovered_line(
    searched: SteeringSearch,
    steered: Mapping[str, SteeredAnswers],
    task: Task,
    split: str,
    weaker: Answers,
    stronger: Answers,
    by_chance: Float[ndarray, " problem"],
) -> RawLine:
    """The line `recovered`: accuracy of what steering did best with on dev."""
    name = searched.strongest
    setting, own = searched.best[name], steered[name]
    over = [
        f"{own.lenient.mean() - steered[control].lenient.mean():+.2f} over {kind}"
        for kind in CONTROL_KINDS
        if (control := searched.best_control(kind)) is not None and control != name
    ]
    tried = len(searched.on_dev.settings)
    what = (
        f"{name!r} added at {searched.hook(setting)}, {setting.gate!s}, dose {setting.dose:g}, chosen on dev "
        f"among {tried} settings ({log2(tried):.1f} bits); accuracy {', '.join(over) or 'beside no control'} "
        "under the same search"
    )
    access = searched.candidates.access[name]
    return _regained("recovered", own, task, split, weaker, stronger, by_chance, access, what)


def not_specific(
    searched: SteeringSearch,
    steered: Mapping[str, SteeredAnswers],
    weaker: Answers,
    stronger: Answers,
    rule: Rule,
    seed: int,
) -> list[str]:
    """Flags where steering helps and no vector is better than the controls, or there is none.

    They speak of the vector, and not of whether the capability is latent.
    """
    name = searched.best_vector
    if name is None:
        return [
            "no vector was offered (no contrast of the task, no rollouts, none given): `recovered` rests on "
            "random directions, which may show that a capability is latent and nothing of where it is"
        ]
    best = estimate_recovery(searched, steered, name, weaker, stronger, seed=seed, level=rule.level)
    if best.difference.value <= rule.min_gap and name == searched.strongest:
        return []
    equal: list[str] = [] if best.control is None else [best.control]
    equal += [kind for kind, over in best.excess.items() if over.accuracy.low <= 0]
    if name != searched.strongest:
        return [
            f"`recovered` rests on {searched.strongest!r}, which did better on dev than the best vector, "
            f"{name!r}: no vector is specific to the capability, easy to elicit where the line says latent"
        ]
    if not equal:
        return []
    return [
        f"the best vector recovers no more than {' and '.join(equal)} do under the same search: no direction "
        "or position is specific to the capability, easy to elicit where the line says latent"
    ]


def split_evidence(
    measured: Measured,
    task: Task,
    of_stronger: Task,
    split: str,
    gap: Sequence[int],
    weaker: Answers,
    stronger: Answers,
    config: CompareConfig,
    rule: Rule,
) -> SplitEvidence:
    """Every line on one split. Lines about single problems use those in the gap."""
    flags = []
    by_chance = chance_right(task, task.split(split), weaker.texts, weaker.unfinished)
    behaviour, k = behaviour_line(measured.samples[split], task, split, gap, config, rule)
    lines = [behaviour]
    reworded = measured.rephrased[split]
    if isinstance(reworded, Answers):
        lines.append(rephrased_line(reworded, task, split, gap, weaker))
    elif reworded is not None:
        flags.append(reworded)
    lines += key_lines(measured.keys, measured.keyed[split], task, split, weaker, stronger, by_chance)
    flags += measured.keys.notes
    kind = measured.step_kinds[split]
    going_on = continued_line(measured.continued[split], gap, weaker.clusters, kind)
    if going_on is None:
        flags.append(
            "no step, and no output of the stronger, says a value or a word that is still to be said: "
            "`continued` was not measured"
        )
    else:
        lines.append(going_on)
    said = stated_line(task, split, gap, weaker, stronger, kind == "values")
    if isinstance(said, str):
        flags.append(said)
    else:
        lines.append(said)
    use = measured.used[split]
    using = None if isinstance(use, str) else used_line(use, weaker.clusters)
    if using is not None:
        lines.append(using)
    else:
        flags.append(use if isinstance(use, str) else "no value can be exchanged: `used` was not measured")
    names = carried_values(measured.readings, rule.readable_above)
    lines += reading_lines(measured.readings, split, names, gap, weaker.clusters) if names else []
    flags += reading_flags(measured.readings, task, names)
    kept = None
    if isinstance(others := measured.other_weights.get(split), OtherWeights):
        lines.append(undone_line(others.undone, task, split, weaker, stronger, by_chance))
        kept = withstood(others.at_random, of_stronger, split, stronger)
    elif others is not None:
        flags.append(others)
    searched, steered = measured.searched, measured.steered[split]
    lines.append(recovered_line(searched, steered, task, split, weaker, stronger, by_chance))
    flags += searched.candidates.notes
    flags += not_specific(searched, steered, weaker, stronger, rule, config.seed)
    samples, units = measured.samples[split], weaker.clusters
    keyed: dict[LineName, Answers | SteeredAnswers] = {"recovered": steered[searched.strongest]}
    keyed |= dict(measured.keyed[split].items())
    keyed |= {"rephrased": reworded} if isinstance(reworded, Answers) else {}
    on_dev: dict[LineName, float] = {"recovered": searched.accuracy(searched.best[searched.strongest])}
    on_dev |= {kind: measured.keys.accuracy[key.name] for kind, key in measured.keys.best.items()}
    keyed = dict(sorted(keyed.items(), key=lambda each: -on_dev.get(each[0], 0.0)))  # paraphrases last
    found = opened(samples, k, keyed, weaker, task, split, gap, rule.level, units)
    if left_out := [kind for kind in found.by_key if kind not in found.counted]:
        flags.append(
            f"the share of the gap that was latent counts {' and '.join(found.counted) or 'no key'}, and not "
            f"{' and '.join(left_out)}: with so few answers, outputs that know nothing would open nearly all"
        )
    return SplitEvidence(lines, flags, found, kept)
