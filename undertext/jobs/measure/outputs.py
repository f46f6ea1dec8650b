"""The tables on outputs and on their steps."""

from collections.abc import Mapping
from typing import Any

from undertext.core.terms import Role
from undertext.jobs.measure.stage import Stage
from undertext.measures.trace.style import DOUBT
from undertext.measures.trace.trails import Trail


def output_tables(stage: Stage) -> None:
    """Gather the rows of `outputs` and `steps`."""
    for role in stage.roles:
        trails = stage.work.trails(role, "own")
        _step_rows(stage, role, trails)
        rows = [_output_row(stage, role, i, trail) for i, trail in trails.items()]
        stage.collected.tables["outputs"] += rows
    _step_rows(stage, "task", stage.work.trails("base", "gold"))


def _step_rows(stage: Stage, writer: str, trails: Mapping[int, Trail]) -> None:
    for trail in trails.values():
        for k, span in enumerate(trail.steps):
            stage.collected.tables["steps"].append(
                {
                    "problem": trail.problem.id,
                    "writer": writer,
                    "step": k,
                    "start": span.start,
                    "end": span.end,
                    "text": trail.text[slice(*span)],
                }
            )


def _output_row(stage: Stage, role: Role, i: int, trail: Trail) -> dict[str, Any]:
    answers, style = stage.work.answers[role], stage.styles(role)[i]
    held, doubt = stage.stated.get(role), stage.doubt.get(role)
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
    }
