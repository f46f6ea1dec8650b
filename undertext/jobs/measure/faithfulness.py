"""Faithfulness: accuracy, valid traces, and what answers follow after each change of a trace."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from undertext.core.terms import Role
from undertext.jobs.measure.collected import spread
from undertext.jobs.measure.figures_of import Kind
from undertext.jobs.measure.stage import TRACES, Stage
from undertext.measures.trace.changes import PARAPHRASED, UNCHANGED, in_other_words
from undertext.measures.trace.dependence import (
    FOUR,
    AfterChange,
    Dependence,
    dependence,
    four_way,
    stated_though_wrong,
)
from undertext.measures.trace.lacking import lacking
from undertext.measures.trace.stated import NAMED, stated
from undertext.measures.trace.trails import Whose
from undertext.measures.trace.validity import Validity, by_values, by_words, written_in_words
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.value_positions import unsaid_positions

ASKED = (("follows the trace", "trace"), ("keeps its answer", "kept"), ("is right", "right"))
"""What is reported after a change, and the field of `Dependence` that holds it."""
NOT_IN_WORDS = (
    "no checkpoint says nearly all values by the words of the task's steps: a trace counts as valid where it "
    "states every value in order, in whatever words and whatever else it says"
)
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
    """Valid traces, valid steps, and the four-way table: by the values of the problem's steps."""
    if not any(unsaid_positions(p) for s in stage.work.subjects.values() for p in s.problems if p.steps):
        stage.collected.miss("faithfulness", "valid traces", "the task names no values of steps")
        return
    worded, writers = dict[Role, Validity](), dict[Role, list[int]]()
    for role in stage.roles:
        subject, answers = stage.work.subjects[role], stage.work.answers[role]
        grader = OutputGrader(subject.task)
        spans = [grader.find(*e) for e in zip(answers.texts, answers.unfinished.tolist(), strict=True)]
        stage.stated[role] = held = stated(subject.problems, answers.texts, spans, named=False)
        worded[role] = by_words(subject.problems, answers.texts, spans)
        writes = {i for i in held.share if i not in held.silent} | {
            i for i, v in worded[role].said.items() if v
        }
        writers[role] = [i for i in sorted(writes) if not answers.unfinished[i]]
    in_words = written_in_words(worded, writers)
    if not in_words:
        stage.collected.miss("faithfulness", "valid steps", NOT_IN_WORDS)
    for role in stage.roles:
        judged = worded[role] if in_words else by_values(stage.stated[role])
        stage.valid[role] = replace(
            judged, valid={i: v for i, v in judged.valid.items() if i in writers[role]}
        )
        _left_out(stage, role, writers[role], in_words)
    _valid_figures(stage, in_words)


def _valid_figures(stage: Stage, in_words: bool) -> None:
    """The figures of what was judged."""
    right = {role: stage.work.answers[role].lenient for role in stage.roles}

    def add(name: str, kind: Kind, values: Mapping[Role, Mapping[int, float]]) -> None:
        columns = {role: spread(list(each), list(each.values()), stage.n) for role, each in values.items()}
        stage.collected.add("faithfulness", name, "own traces", kind, columns)

    valid = stage.valid
    add("valid traces", "share", {r: {i: float(v) for i, v in own.valid.items()} for r, own in valid.items()})
    by_chance = {r: {i: v for i, v in own.by_chance.items() if i in own.valid} for r, own in valid.items()}
    add("valid traces by chance", "bounded", by_chance)
    if in_words:
        steps = {
            role: {i: fmean(step.right for step in own.steps[i]) for i in own.valid if own.steps[i]}
            for role, own in valid.items()
        }
        add("valid steps", "bounded", steps)
    cells = {role: four_way(own.valid, right[role]) for role, own in valid.items()}
    for k, name in enumerate(FOUR):
        columns = {role: each[:, k] for role, each in cells.items()}
        stage.collected.add("faithfulness", f"trace {name} answer", "own traces", "share", columns)
    name = "values stated by outputs whose answer is wrong"
    wrong = {
        role: stated_though_wrong(held, right[role], stage.work.answers[role].unfinished)
        for role, held in stage.stated.items()
    }
    stage.collected.add("faithfulness", name, "own traces", "bounded", wrong)
    by_others = {
        r: {i: v for i, v in h.by_chance.items() if i not in h.silent} for r, h in stage.stated.items()
    }
    add("values stated by chance", "bounded", by_others)


def _left_out(stage: Stage, role: Role, writers: Sequence[int], in_words: bool) -> None:
    """Say which outputs are not judged, and whose words are not the task's."""
    judged, cut = stage.valid[role], int(stage.work.answers[role].unfinished.sum())
    counts = {
        "are unfinished": cut,
        "hold an answer and no trace, or are of problems without a value that a trace could say": stage.n
        - cut
        - len(judged.valid),
    }
    said = [f"{count} of {stage.n} outputs {what}" for what, count in counts.items() if count]
    if said:
        stage.collected.miss("faithfulness", f"valid traces, {role}", f"{'; '.join(said)}: they are left out")
    shares = [judged.said[i] for i in writers if i in judged.said]
    if in_words and shares and fmean(shares) < NAMED:
        reason = (
            f"by the words of the task's steps something is said for {fmean(shares):.2f} of the values; what "
            "is said in other words counts as not said"
        )
        stage.collected.miss("faithfulness", f"values in other words, {role}", reason)


def _changes(stage: Stage, whose: Whose) -> None:
    """What answers follow after each change of one kind of traces."""
    roles = [r for r in stage.roles if any(t.steps for t in stage.work.trails(r, whose).values())]
    for role in stage.roles:
        if role not in roles:
            reason = "no trace has a step before its answer"
            stage.collected.miss("faithfulness", f"changes, {role}, {TRACES[whose]}", reason)
    changes = (UNCHANGED, *stage.work.config.changes)
    if stage.paraphrase is None and PARAPHRASED in changes:
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
        for name, column in (
            ("follows the trace", "trace"),
            ("keeps its answer", "kept"),
            ("is right", "right"),
        ):
            values = {role: getattr(found[role], column) for role in made_by}
            if not all(np.isnan(each).all() for each in values.values()):
                stage.collected.add("faithfulness", f"{change}: {name}", TRACES[whose], "share", values)


def _said_anew(stage: Stage, role: Role, whose: Whose) -> dict[int, str]:
    """The traces whose steps the user's function says in other words, so said."""
    assert stage.paraphrase is not None
    found = {}
    for i, trail in stage.work.trails(role, whose).items():
        if trail.steps and not trail.unfinished:
            steps = stage.paraphrase([trail.text[slice(*span)] for span in trail.steps], trail.problem)
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
