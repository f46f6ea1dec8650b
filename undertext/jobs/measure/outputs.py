"""The tables on outputs, on their steps, and on what was read along them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from undertext.core.terms import Role
from undertext.jobs.measure.collected import along_rows
from undertext.jobs.measure.stage import TRACES, Stage
from undertext.jobs.measure.trajectories import confidence_rows
from undertext.measures.trace.exploration import Marked
from undertext.measures.trace.style import DOUBT
from undertext.measures.trace.trails import Trail
from undertext.measures.trace.validity import SaidStep

OF_UNFINISHED: Mapping[str, str] = {
    "information": "the gain of own traces is of what they wrote; the rationalisation index leaves them out",
    "confidence": "they give no answer: of their traces the right answer alone is read, and what will be "
    "wrong leaves them out",
    "faithfulness": "they count as wrong; their traces are neither judged nor changed",
    "sensitivity": "they count as wrong",
    "uncertainty": "they are left out: they are neither right nor wrong",
}
"""What each measure makes of outputs that were cut before an answer."""


def unfinished_outputs(stage: Stage) -> None:
    """Say of each measure what it makes of unfinished outputs, where there are any."""
    for role in stage.roles:
        cut = int(stage.work.answers[role].unfinished.sum())
        for name in stage.work.config.wanted if cut else ():
            if name in OF_UNFINISHED:
                reason = f"{cut} of {stage.n} outputs were cut before an answer: {OF_UNFINISHED[name]}"
                stage.collected.miss(name, f"unfinished outputs, {role}", reason)


def output_tables(stage: Stage) -> None:
    """Gather the rows of `outputs`, `steps`, `along` and `confidence`."""
    for (role, whose), reads in stage.read.items():
        probed = stage.probed.get((role, whose))
        stage.collected.tables["along"] += along_rows(role, TRACES[whose], reads, probed)
        if "confidence" in stage.work.config.wanted:
            stage.collected.tables["confidence"] += confidence_rows(role, TRACES[whose], reads, probed)
    for role in stage.roles:
        trails = stage.work.trails(role, "own")
        _step_rows(stage, role, trails, stage.marked.get((role, "own"), {}))
        rows = [_output_row(stage, role, i, trail) for i, trail in trails.items()]
        stage.collected.tables["outputs"] += rows
    gold = stage.marked.get(("base", "gold"), {})
    _step_rows(stage, "task", stage.work.trails("base", "gold"), gold)


def _step_rows(stage: Stage, writer: str, trails: Mapping[int, Trail], marks: Mapping[int, Marked]) -> None:
    for i, trail in trails.items():
        mark = marks.get(i)
        said, cut = None, 0
        if writer in stage.valid:
            output = stage.work.answers[writer].texts[i]
            said, cut = stage.valid[writer].steps.get(i), len(output) - len(output.lstrip())
        elif writer == "task" and stage.valid_gold is not None:
            said = stage.valid_gold.steps.get(i)
        for k, span in enumerate(trail.steps):
            stage.collected.tables["steps"].append(
                {
                    "problem": trail.problem.id,
                    "writer": writer,
                    "step": k,
                    "start": span.start,
                    "end": span.end,
                    "text": trail.text[slice(*span)],
                    "valid": None if said is None else _all_right(said, span.start + cut, span.end + cut),
                    "dead": None if mark is None else mark.dead[k],
                    "says_dead": None if mark is None else mark.says[k],
                }
            )


def _all_right(said: Sequence[SaidStep], start: int, end: int) -> bool | None:
    """Whether all values that a step says are right; None where it says none."""
    own = [each.right for each in said if start <= each.start < end]
    return all(own) if own else None


def _output_row(stage: Stage, role: Role, i: int, trail: Trail) -> dict[str, Any]:
    answers, style = stage.work.answers[role], stage.styles(role)[i]
    judged = stage.valid.get(role)
    held, doubt = stage.stated.get(role), stage.doubt.get(role)
    scores = stage.sensitivity.get(role)
    shares = stage.shift.shares(i) if stage.shift is not None and role == "tuned" else None
    inner, voice = (None, None) if doubt is None else (doubt.internal, doubt.voiced)
    return {
        "problem": trail.problem.id,
        "checkpoint": role,
        "answer": trail.problem.answer,
        "output": answers.texts[i],
        "given": trail.answer,
        "right": bool(answers.lenient[i]),
        "unfinished": bool(answers.unfinished[i]),
        "tokens": int(answers.tokens[i]),
        "steps": len(trail.steps),
        "first_said": None if trail.answer is None else trail.first_says(trail.answer),
        "valid": None if judged is None else judged.valid.get(i),
        "stated": None if held is None else held.share.get(i),
        "stated_by_chance": None if held is None else held.by_chance.get(i),
        "words": style.words,
        "doubt": style.rate(*DOUBT),
        "repeated": style.repeated,
        "backtracks": style.backtracks,
        "changed_after": style.mended,
        **({} if shares is None else shares),
        "internal": None if inner is None else float(inner.wrong[i]),
        "voiced": None if voice is None else float(voice.wrong[i]),
        "sensitivity": None if scores is None or np.isnan(scores[i]) else float(scores[i]),
    }
