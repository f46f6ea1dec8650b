"""The table `problems`: what was asked, what was written, how it was graded, and what is odd about it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.token_parts import OUTPUTS, Output
from undertext.jobs.compare.trace_parts import REPLACED, Traced, TraceReads
from undertext.measures.answers import Answers
from undertext.measures.trace.changes import UNCHANGED
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Task


def problem_rows(
    task: Task,
    split: str,
    answers: Mapping[Output, Answers | None],
    gap: Sequence[int],
    flags: Sequence[Sequence[str]],
) -> list[dict[str, Any]]:
    """Rows of the table on a split; `steered` are the weaker's answers with the best vector, if any."""
    rows, within = [], set(gap)
    for i, problem in enumerate(task.split(split)):
        row: dict[str, Any] = {
            "split": split,
            "id": problem.id,
            "type": problem.type,
            "prompt": problem.prompt,
            "answer": problem.answer,
        }
        for who in OUTPUTS:
            each = answers[who]
            row |= {
                f"{who}_output": None if each is None else each.texts[i],
                f"{who}_strict": None if each is None else bool(each.strict[i]),
                f"{who}_lenient": None if each is None else bool(each.lenient[i]),
                f"{who}_unfinished": None if each is None else bool(each.unfinished[i]),
            }
        rows.append(row | {"gap": i in within, "flags": "; ".join(flags[i])})
    return rows


def problem_flags(
    tasks: Mapping[Role, Task],
    split: str,
    answers: Mapping[Role, Answers],
    traces: TraceReads | None,
    rule: Rule,
) -> list[list[str]]:
    """What is odd about single outputs, by the problem's place in the split.

    A figure of one problem has no interval: a flag here asks to be looked at, and the flags of the split say
    what is sure.
    """
    found: list[list[str]] = [[] for _ in answers["base"].texts]
    for role in ROLES:
        own, grader = answers[role], OutputGrader(tasks[role])
        for i, problem in enumerate(tasks[role].split(split)):
            text = own.texts[i]
            start = grader.answer_start(text)
            if not text.strip():
                found[i].append(f"{role}: blank")
            elif start is None and not own.unfinished[i]:
                found[i].append(f"{role}: ends within its reasoning")
            elif start is not None and not own.lenient[i]:
                line = (text[start:].strip().splitlines() or [""])[0]
                if grader(line, problem).lenient:
                    found[i].append(f"{role}: goes on after a right answer")
        if traces is not None:
            for i in _rationalised(traces.traced[split, role], rule):
                found[i].append(f"{role}: as sure before its first step")
            for i in _shortcut(traces.traced[split, role]):
                found[i].append(f"{role}: right without its trace")
    return found


def _rationalised(traced: Traced, rule: Rule) -> list[int]:
    """Problems whose answer had most of its confidence, over chance, before the first step."""
    ends = traced.ends
    before, after = ends.before - ends.by_chance, ends.after - ends.by_chance
    # A comparison with NaN, a trace that stands alone, is False.
    odd = ends.stepped & (after > 0) & (before > rule.rationalised_above * after)
    return [ends.index[row] for row in np.flatnonzero(odd)]


def _shortcut(traced: Traced) -> list[int]:
    """Problems whose right answer stays right after each replacement of the trace before it."""
    right = [
        {i for i, ok in zip(after.index, after.right.tolist(), strict=True) if ok}
        for after in (traced.after[change] for change in (UNCHANGED, *REPLACED))
    ]
    return sorted(set.intersection(*right))
