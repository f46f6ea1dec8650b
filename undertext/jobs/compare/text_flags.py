"""Flags that need no trace: problems known by heart, doubt that is no longer voiced, form, and ending."""

from collections.abc import Mapping

import numpy as np

from undertext.core.statistics import (
    Estimate,
    among,
    mean_intervals,
    proportion,
    ratio_intervals,
    unpaired_difference,
)
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import CompareConfig, Rule
from undertext.jobs.compare.form import (
    FORMAT_ONLY,
    UNFINISHED,
    form_change,
    form_name,
    unfinished_shares,
    with_interval,
)
from undertext.jobs.compare.trace_figures import (
    FigureName,
    Flagged,
    TraceFigure,
    enough_problems,
    figure_of,
    limit,
)
from undertext.jobs.compare.trace_parts import TraceReads, drawn_of
from undertext.measures.answers import Answers
from undertext.measures.trace.completion import SHOWN, Completed
from undertext.measures.trace.style import DOUBT, Markers
from undertext.tasks.draws import clusters
from undertext.tasks.task import Task


def memorised(
    role: Role, reads: TraceReads, task: Task, split: str, config: CompareConfig, rule: Rule
) -> Flagged:
    """Completion of the problems from their first part, less that of fresh ones."""

    def share(of: str) -> tuple[Completed, Estimate | None, bool]:
        found = reads.completed[of, role]
        units = clusters(drawn_of(task, of, config))
        rows = np.array(found.index, int)
        if not len(rows):
            return found, None, False
        d = found.exact - found.by_chance
        own = mean_intervals(d, np.ones((1, len(d))), rule.level, among(units, rows))
        return found, own.estimate(len(d), rule.level), enough_problems(rows, units, rule)

    found, seen, some = share(split)
    if seen is None:
        return Flagged([], [])
    groups = among(clusters(drawn_of(task, split, config)), np.array(found.index))
    exact = proportion(found.exact, rule.level, groups)
    figures = [
        TraceFigure(role, "completes problems from their first 60%", exact),
        TraceFigure(role, "completes problems from their first 60%, over chance", seen),
    ]
    fresh_found, fresh, others = share(config.fresh)
    if split == config.fresh or fresh is None:
        return Flagged(figures, [])
    more = unpaired_difference(fresh, seen)
    raised = more.low > rule.memorised_above and some and others
    less: FigureName = "completes problems from their first 60%, over chance, less of fresh ones"
    figures.append(figure_of(role, less, more, "memorised_above", "memorised", raised))
    said = (
        f"memorised: from their first {SHOWN:.0%} the {role} completes {found.exact.mean():.2f} of these "
        f"problems word by word, and {fresh_found.exact.mean():.2f} of those of {config.fresh!r}; over "
        f"chance {with_interval(more)} more ({limit('memorised_above', rule)})"
    )
    return Flagged(figures, [said] * raised)


def on_other_numbers(
    role: Role,
    reads: TraceReads,
    task: Task,
    split: str,
    answers: Answers,
    config: CompareConfig,
    rule: Rule,
) -> Flagged:
    """Right answers, less those to fresh problems that differ in numbers alone."""
    found = reads.other_numbers.get((split, role))
    if found is None:
        return Flagged([], [])
    seen_units, fresh_units = clusters(task.split(split)), clusters(task.split(config.fresh))
    seen_rows, fresh_rows = np.array(found.seen), np.array(found.fresh)
    seen = proportion(answers.lenient[seen_rows], rule.level, among(seen_units, seen_rows))
    fresh = proportion(found.right, rule.level, among(fresh_units, fresh_rows))
    more = unpaired_difference(fresh, seen)
    some = enough_problems(seen_rows, seen_units, rule) and enough_problems(fresh_rows, fresh_units, rule)
    raised = more.low > rule.memorised_above and some
    name: FigureName = "right answers, less those to problems with other numbers"
    figures = [
        TraceFigure(role, "right answers to problems with other numbers", fresh),
        figure_of(role, name, more, "memorised_above", "memorised", raised),
    ]
    said = (
        f"memorised: the {role} is right on {seen.value:.2f} of these problems, and on {fresh.value:.2f} of "
        f"those of {config.fresh!r} that differ from them in numbers alone: {with_interval(more)} more "
        f"({limit('memorised_above', rule)})"
    )
    return Flagged(figures, [said] * raised)


def voice_lost(answers: Mapping[Role, Answers], markers: Markers, rule: Rule) -> Flagged:
    """Markers of doubt in all outputs of the split, and what share of the base's the tuned one has lost."""
    rates = {
        role: np.array([markers.rate(text, DOUBT) for text in answers[role].texts], float) for role in ROLES
    }
    known = np.flatnonzero(~np.isnan(rates["base"]) & ~np.isnan(rates["tuned"]))
    if not len(known):
        return Flagged([], [])
    units, whole = among(answers["base"].clusters, known), np.ones((1, len(known)))
    base, tuned = (rates[role][known] for role in ROLES)
    # Intervals of means take what lies between 0 and 1.
    most = max(float(base.max()), float(tuned.max())) or 1.0
    figures, shown = [], {}
    for role, values in (("base", base), ("tuned", tuned)):
        mean = mean_intervals(values / most, whole, rule.level, units).estimate(len(known), rule.level)
        shown[role] = Estimate(
            most * mean.value, max(0.0, most * mean.low), most * mean.high, mean.n, rule.level
        )
    figures = [TraceFigure(role, "doubt words per 100", shown[role]) for role in ROLES]
    kept = ratio_intervals(tuned / most, base / most, whole, rule.level, units).estimate(
        len(known), rule.level
    )
    if not np.isfinite(kept.value):
        return Flagged(figures, [])
    lost = Estimate(1 - kept.value, 1 - kept.high, 1 - kept.low, kept.n, rule.level)
    raised = (
        lost.low > rule.lost_above
        and shown["base"].low > rule.voiced_above
        and enough_problems(known, answers["base"].clusters, rule)
    )
    figures.append(figure_of("tuned", "doubt words lost", lost, "lost_above", "voice lost", raised))
    said = (
        f"voice lost: the tuned voices {with_interval(lost)} less doubt than the base, "
        f"{with_interval(shown['tuned'])} markers per 100 words instead of {with_interval(shown['base'])} "
        f"({limit('lost_above', rule)}, {limit('voiced_above', rule)})"
    )
    return Flagged(figures, [said] * raised)


def of_form(answers: Mapping[Role, Answers], rule: Rule) -> list[TraceFigure]:
    """Unfinished outputs, and change of form alone; their sentences are made where the verdict is."""
    figures = [
        figure_of(role, "unfinished outputs", share, "max_unfinished", UNFINISHED,
                share.low > rule.max_unfinished)
        for role, share in unfinished_shares(answers, rule.level).items()
    ]  # fmt: skip
    apart, raised = form_change(answers, rule.level), form_name(answers, rule) == FORMAT_ONLY
    return [*figures, figure_of("tuned", "change of form alone", apart, "format_above", FORMAT_ONLY, raised)]
