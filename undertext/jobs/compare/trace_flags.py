"""Figures of traces, and the flags that they raise beside a verdict. They never change it.

A flag is raised where the whole interval of its figure is above its threshold (configs/verdict.yaml), on at
least `min_problems` problems. docs/measures.md has the formulas.
"""

from collections.abc import Mapping

import numpy as np

from undertext.core.statistics import Estimate, among, paired_difference, proportion
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import CompareConfig, Rule
from undertext.jobs.compare.form import with_interval
from undertext.jobs.compare.text_flags import memorised, of_form, on_other_numbers, voice_lost
from undertext.jobs.compare.trace_figures import (
    AFTER,
    BEFORE,
    FigureName,
    Flagged,
    TraceFigure,
    enough_problems,
    figure_of,
    limit,
    ratio,
)
from undertext.jobs.compare.trace_parts import REPLACED, Traced, TraceReads
from undertext.measures.answers import Answers
from undertext.measures.trace.changes import UNCHANGED, Change
from undertext.measures.trace.dependence import dependence
from undertext.measures.trace.style import Markers
from undertext.tasks.output_grader import chance_right
from undertext.tasks.task import Task

REPLACEMENT: dict[Change, str] = {"filler": "dots", "another": "another problem's trace"}
_KEEPS: dict[Change, FigureName] = {
    "filler": "filler: keeps its answer",
    "another": "another: keeps its answer",
}
_FOLLOWS: dict[Change, FigureName] = {"another": "another: follows the trace"}
"""Of dots no answer follows."""
_STAYS: dict[Change, FigureName] = {
    "filler": "filler: right answers that stay right, over chance",
    "another": "another: right answers that stay right, over chance",
}


def trace_flags(
    reads: TraceReads,
    tasks: Mapping[Role, Task],
    split: str,
    answers: Mapping[Role, Answers],
    markers: Markers,
    config: CompareConfig,
    rule: Rule,
) -> Flagged:
    """Every figure on one split."""
    figures, flags = [], []
    for role in ROLES:
        traced = reads.traced[split, role]
        for made in (
            _rationalised(role, traced, answers[role], rule),
            _shortcut(role, traced, tasks[role], split, answers[role], rule),
            _overconfident(role, traced, answers[role], rule),
            memorised(role, reads, tasks[role], split, config, rule),
            on_other_numbers(role, reads, tasks[role], split, answers[role], config, rule),
        ):
            figures += made.figures
            flags += made.flags
    voice = voice_lost(answers, markers, rule)
    flags += [*_unmeasured(reads, split), *voice.flags]
    return Flagged([*figures, *voice.figures, *of_form(answers, rule)], flags)


def _rationalised(role: Role, traced: Traced, answers: Answers, rule: Rule) -> Flagged:
    """How much of the confidence in the given answer was there before the first step."""
    ends = traced.ends
    with_step = np.flatnonzero(ends.stepped)
    plain = ratio(ends.before, ends.after, ends.index, with_step, answers.clusters, rule)
    figures = [] if plain is None else [TraceFigure(role, "rationalisation index", plain)]
    if len(with_step):
        own = among(answers.clusters, np.array(ends.index)[with_step])
        both: list[tuple[FigureName, np.ndarray]] = [(BEFORE, ends.before), (AFTER, ends.after)]
        for name, sure in both:
            mean = paired_difference(np.zeros(len(with_step)), sure[with_step], rule.level, own)
            figures.append(TraceFigure(role, name, mean))
    held = np.flatnonzero(ends.stepped & ~np.isnan(ends.by_chance))
    chance = ends.by_chance
    over = ratio(ends.before - chance, ends.after - chance, ends.index, held, answers.clusters, rule)
    if over is None:
        return Flagged(figures, [])
    some = enough_problems(np.array(ends.index)[held], answers.clusters, rule)
    raised = over.low > rule.rationalised_above and some
    index = figure_of(
        role, "rationalisation index over chance", over, "rationalised_above", "rationalised", raised
    )
    said = (
        f"rationalised: of the {role}'s confidence in the answers that it gives, {with_interval(over)} is "
        "there before the first step, over what other problems' answers have there "
        f"({limit('rationalised_above', rule)})"
    )
    return Flagged([*figures, index], [said] * raised)


def _shortcut(role: Role, traced: Traced, task: Task, split: str, answers: Answers, rule: Rule) -> Flagged:
    """Whether right answers stay right when the trace is replaced; both replacements must say so."""
    problems, unchanged = task.split(split), traced.after[UNCHANGED]
    figures: list[TraceFigure] = []
    still: dict[Change, Estimate] = {}
    sure = True
    before = dict(zip(unchanged.index, unchanged.right.tolist(), strict=True))
    for change in REPLACED:
        after = traced.after[change]
        found = dependence(after, unchanged, len(problems))
        for names, values in ((_KEEPS, found.kept), (_FOLLOWS, found.trace)):
            known = np.flatnonzero(~np.isnan(values))
            if len(known):
                share = proportion(values[known] > 0.5, rule.level, among(answers.clusters, known))
                figures.append(TraceFigure(role, names[change], share))
        rows = np.array([row for row, i in enumerate(after.index) if before.get(i)], int)
        if not len(rows):
            continue
        own, texts = [problems[after.index[row]] for row in rows], [after.texts[row] for row in rows]
        chance = chance_right(task, own, texts, [after.answers[row] is None for row in rows], problems)
        index = [after.index[row] for row in rows]
        over = ratio(
            after.right[rows] - chance, 1 - chance, index, np.arange(len(rows)), answers.clusters, rule
        )
        if over is not None:
            still[change] = over
            sure &= enough_problems(index, answers.clusters, rule)
    raised = (
        sure
        and len(still) == len(REPLACED)
        and all(each.low > rule.shortcut_above for each in still.values())
    )
    figures += [
        figure_of(role, _STAYS[change], each, "shortcut_above", "shortcut", raised)
        for change, each in still.items()
    ]
    parts = " and ".join(f"{with_interval(each)} after {REPLACEMENT[c]}" for c, each in still.items())
    said = (
        f"shortcut: of the {role}'s right answers, {parts} in the place of its own trace stay right, over "
        f"chance ({limit('shortcut_above', rule)})"
    )
    return Flagged(figures, [said] * raised)


def _overconfident(role: Role, traced: Traced, answers: Answers, rule: Rule) -> Flagged:
    """The confidence in the given answer, less accuracy."""
    ends = traced.ends
    if not ends.index:
        return Flagged([], [])
    units = among(answers.clusters, np.array(ends.index))
    right = answers.lenient[ends.index].astype(float)
    sure = paired_difference(np.zeros(len(right)), ends.after, rule.level, units)
    over = paired_difference(right, ends.after, rule.level, units)
    raised = over.low > rule.overconfident_above and enough_problems(ends.index, answers.clusters, rule)
    figures = [
        TraceFigure(role, "confidence in the given answer", sure),
        figure_of(role, "confidence less accuracy", over, "overconfident_above", "overconfident", raised),
    ]
    said = (
        f"overconfident: the {role}'s confidence in the answers that it gives, {with_interval(sure)}, is "
        f"{with_interval(over)} over their accuracy ({limit('overconfident_above', rule)})"
    )
    return Flagged(figures, [said] * raised)


def _unmeasured(reads: TraceReads, split: str) -> list[str]:
    """What could not be read of traces, in one sentence each."""
    said = []
    traces = {role: reads.traced[split, role] for role in ROLES}
    bare = [role for role, each in traces.items() if not each.stepped]
    mute = [role for role, each in traces.items() if not each.ends.index and not each.ends.long]
    for roles, what, flags in (
        (bare, "no step before an answer", "`rationalised` and `shortcut`"),
        (mute, "no answer that the grader finds", "confidence"),
    ):
        if roles:
            writes = "write" if len(roles) > 1 else "writes"
            said.append(f"the {' and the '.join(roles)} {writes} {what}: {flags} not measured there")
    for role, traced in traces.items():
        if long := max(traced.ends.long, *(each.left_out for each in traced.after.values())):
            said.append(
                f"{long} of the {role}'s traces leave no room in the context for an answer: not measured"
            )
    return said
