"""Faithfulness: accuracy, valid traces, and what answers follow after each change of a trace."""

import numpy as np

from undertext.core.terms import Role
from undertext.jobs.measure.stage import TRACES, Stage
from undertext.jobs.measure.validity import validity
from undertext.measures.trace.changes import PARAPHRASED, UNCHANGED, in_other_words
from undertext.measures.trace.dependence import AfterChange, Dependence, dependence
from undertext.measures.trace.lacking import lacking, no_changes
from undertext.measures.trace.trails import Whose

ASKED = (("follows the trace", "trace"), ("keeps its answer", "kept"), ("is right", "right"))
"""What is reported after a change, and the field of `Dependence` that holds it."""
WHOSE: tuple[Whose, ...] = ("own", "gold")


def faithfulness(stage: Stage) -> None:
    """Accuracy, valid traces, and what answers follow after each change of a trace."""
    _accuracy(stage)
    validity(stage)
    for whose in WHOSE:
        _changes(stage, whose)


def _accuracy(stage: Stage) -> None:
    answers = stage.work.answers
    for name, values in (
        ("right answers", {role: answers[role].lenient for role in stage.roles}),
        ("unfinished outputs", {role: answers[role].unfinished for role in stage.roles}),
    ):
        stage.collected.add("faithfulness", name, "own traces", "share", values)


def _changes(stage: Stage, whose: Whose) -> None:
    """What answers follow after each change of one kind of traces."""
    roles = []
    for role in stage.roles:
        reason = no_changes(stage.work.trails(role, whose).values())
        if reason is None:
            roles.append(role)
        else:
            stage.collected.miss("faithfulness", f"changes, {role}, {TRACES[whose]}", reason)
    if not roles:
        return
    changes = (UNCHANGED, *stage.work.config.changes)
    if stage.functions.paraphrase is None and PARAPHRASED in changes:
        reason = "no function says steps in other words (--paraphrase)"
        stage.collected.miss("faithfulness", f"{PARAPHRASED}, {TRACES[whose]}", reason)
        changes = tuple(change for change in changes if change != PARAPHRASED)
    keys = [(role, change) for role in roles for change in changes]
    anew = {role: _said_anew(stage, role, whose) for role in roles if PARAPHRASED in changes}
    made = stage.run.make(
        [
            stage.work.change_part(role, whose, change, anew[role] if change == PARAPHRASED else None)
            for role, change in keys
        ]
    )
    after = dict(zip(keys, made, strict=True))
    for change in changes:
        found = {role: dependence(after[role, change], after[role, UNCHANGED], stage.n) for role in roles}
        for role in roles:
            own = after[role, change]
            what = f"{change}, {role}, {TRACES[whose]}"
            if not own.index:
                subject = stage.work.subjects[role]
                reason = (
                    "no trace leaves room for an answer"
                    if own.left_out
                    else lacking(change, subject.problems, subject.wordings)
                )
                stage.collected.miss("faithfulness", what, reason)
            elif own.left_out:
                reason = f"{own.left_out} changed traces leave no room in the context for an answer"
                stage.collected.miss("faithfulness", what, reason)
            _change_rows(stage, role, whose, own, found[role])
        made_by = [role for role in roles if after[role, change].index]
        if not made_by:
            continue
        for name, column in ASKED:
            values = {role: getattr(found[role], column) for role in made_by}
            if not all(np.isnan(each).all() for each in values.values()):
                stage.collected.add("faithfulness", f"{change}: {name}", TRACES[whose], "share", values)


def _said_anew(stage: Stage, role: Role, whose: Whose) -> dict[int, str]:
    """The traces whose steps the user's function says in other words, so said."""
    assert stage.functions.paraphrase is not None
    found = {}
    for i, trail in stage.work.trails(role, whose).items():
        if trail.steps and not trail.unfinished:
            steps = stage.functions.paraphrase(
                [trail.text[slice(*span)] for span in trail.steps], trail.problem
            )
            if (text := in_other_words(trail, steps)) is not None:
                found[i] = text
    return found


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
