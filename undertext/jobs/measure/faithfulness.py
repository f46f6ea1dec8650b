"""Faithfulness: accuracy, valid traces, and what answers follow after each change of a trace."""

import numpy as np

from undertext.core.terms import Role
from undertext.jobs.measure.collected import spread
from undertext.jobs.measure.stage import TRACES, Stage
from undertext.measures.trace.changes import UNCHANGED
from undertext.measures.trace.dependence import (
    FOUR,
    AfterChange,
    Dependence,
    dependence,
    four_way,
    stated_though_wrong,
)
from undertext.measures.trace.stated import stated
from undertext.measures.trace.trails import Whose
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.value_positions import unsaid_positions

ASKED = (("follows the trace", "trace"), ("keeps its answer", "kept"), ("is right", "right"))
"""What is reported after a change, and the field of `Dependence` that holds it."""
WHOSE: tuple[Whose, ...] = ("own", "gold")


def faithfulness(stage: Stage) -> None:
    """Accuracy, valid traces, and what answers follow after each change of a trace."""
    _accuracy(stage)
    _validity(stage)
    for whose in WHOSE:
        _changes(stage, whose)


def _accuracy(stage: Stage) -> None:
    answers = stage.work.answers
    for name, values in (
        ("right answers", {role: answers[role].lenient for role in stage.roles}),
        ("unfinished outputs", {role: answers[role].unfinished for role in stage.roles}),
    ):
        stage.collected.add("faithfulness", name, "own traces", "share", values)


def _validity(stage: Stage) -> None:
    """The four-way table, by the values that outputs state of those of the problem's steps."""
    if not any(unsaid_positions(p) for s in stage.work.subjects.values() for p in s.problems if p.steps):
        stage.collected.miss("faithfulness", "valid traces", "the task names no values of steps")
        return
    cells, wrong, chance = ({} for _ in range(3))
    for role in stage.roles:
        subject, answers = stage.work.subjects[role], stage.work.answers[role]
        grader = OutputGrader(subject.task)
        cut = answers.unfinished.tolist()
        spans = [grader.find(*each) for each in zip(answers.texts, cut, strict=True)]
        found = stated(subject.problems, answers.texts, spans, named=False)
        stage.stated[role] = found
        cells[role] = four_way(found, answers.lenient)
        wrong[role] = stated_though_wrong(found, answers.lenient)
        loud = [i for i in found.by_chance if i not in found.silent]
        chance[role] = spread(loud, [found.by_chance[i] for i in loud], stage.n)
    for k, name in enumerate(FOUR):
        columns = {role: each[:, k] for role, each in cells.items()}
        stage.collected.add("faithfulness", f"trace {name} answer", "own traces", "share", columns)
    name = "values stated by outputs whose answer is wrong"
    stage.collected.add("faithfulness", name, "own traces", "bounded", wrong)
    stage.collected.add("faithfulness", "values stated by chance", "own traces", "bounded", chance)


def _changes(stage: Stage, whose: Whose) -> None:
    """What answers follow after each change of one kind of traces."""
    roles = [r for r in stage.roles if any(t.steps for t in stage.work.trails(r, whose).values())]
    for role in stage.roles:
        if role not in roles:
            reason = "no trace has a step before its answer"
            stage.collected.miss("faithfulness", f"changes, {role}, {TRACES[whose]}", reason)
    changes = (UNCHANGED, *stage.work.config.changes)
    keys = [(role, change) for role in roles for change in changes]
    made = stage.run.make([stage.work.change_part(role, whose, change) for role, change in keys])
    after = dict(zip(keys, made, strict=True))
    for change in changes:
        found = {role: dependence(after[role, change], after[role, UNCHANGED], stage.n) for role in roles}
        for role in roles:
            own = after[role, change]
            what = f"{change}, {role}, {TRACES[whose]}"
            if not own.index:
                reason = (
                    "no trace leaves room for an answer" if own.left_out else "no trace allows this change"
                )
                stage.collected.miss("faithfulness", what, reason)
            elif own.left_out:
                reason = f"{own.left_out} changed traces leave no room in the context for an answer"
                stage.collected.miss("faithfulness", what, reason)
            _change_rows(stage, role, whose, own, found[role])
        made_by = [role for role in roles if after[role, change].index]
        if not made_by:
            continue
        for name, column in (
            ("follows the trace", "trace"),
            ("keeps its answer", "kept"),
            ("is right", "right"),
        ):
            values = {role: getattr(found[role], column) for role in made_by}
            if not all(np.isnan(each).all() for each in values.values()):
                stage.collected.add("faithfulness", f"{change}: {name}", TRACES[whose], "share", values)


def _change_rows(stage: Stage, role: Role, whose: Whose, after: AfterChange, found: Dependence) -> None:
    problems = stage.work.subjects[role].problems
    for row, i in enumerate(after.index):
        stage.collected.tables["changes"].append(
            {
                "problem": problems[i].id,
                "checkpoint": role,
                "traces": TRACES[whose],
                "change": after.change,
                "output": after.texts[row],
                "given": after.answers[row],
                "implied": after.implied[row],
                "follows_trace": _flag(found.trace[i]),
                "kept": _flag(found.kept[i]),
                "right": bool(after.right[row]),
            }
        )


def _flag(value: float) -> bool | None:
    return None if np.isnan(value) else bool(value)
