"""What is wrong with a split's outputs, before anything is said of the checkpoints: flags."""

from collections.abc import Mapping

import numpy as np

from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.form import UNFINISHED, unfinished_shares
from undertext.measures.answers import Answers
from undertext.measures.trace.style import ends_in_a_loop
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Task


def output_flags(
    tasks: Mapping[Role, Task], split: str, answers: Mapping[Role, Answers], rule: Rule
) -> list[str]:
    """Outputs that were cut, are blank, or go on after an answer that would have been right."""
    flags = []
    task = tasks["base"]
    problems = task.split(split)
    found = unfinished_shares(answers, rule.level)
    cut = {role: found[role].value for role in ROLES}
    if max(cut.values()) > 0:
        shares = ", ".join(
            f"{role} {own.value:.1%} [{own.low:.1%}, {own.high:.1%}]" for role, own in found.items()
        )
        what = (
            f"outputs cut at max_new_tokens ({task.max_new_tokens}) before their answer was given: {shares}"
        )
        if max(cut.values()) > rule.max_unfinished:
            name = f"{UNFINISHED}: " if any(own.low > rule.max_unfinished for own in found.values()) else ""
            flags.append(
                f"{name}{what}; more than {rule.max_unfinished:.0%} of one checkpoint's (`max_unfinished`) "
                "may be right or wrong, so that there is a verdict only where none of them could change "
                "which checkpoint does better: raise the task's max_new_tokens, or give it a stop text where "
                f"outputs go on after the answer{_looped(answers)}"
            )
        else:
            flags.append(f"{what}; they count as wrong")
    for role in ROLES:
        texts, lenient, grader = answers[role].texts, answers[role].lenient, OutputGrader(tasks[role])
        if blank := sum(not text.strip() for text in texts):
            ends = ", ".join(map(repr, task.stop)) or "none"
            flags.append(f"{blank} of the {role}'s {len(texts)} outputs are blank (stop texts: {ends})")
        starts = [grader.answer_start(text) for text in texts]
        ended = ~answers[role].unfinished & np.array([at is None for at in starts])
        if ended.any():
            what = "outputs end within their reasoning and give no answer"
            flags.append(f"{ended.sum()} of the {role}'s {len(texts)} {what}")
        parts = ["" if at is None else text[at:] for text, at in zip(texts, starts, strict=True)]
        lines = [(text.strip().splitlines() or [""])[0] for text in parts]
        first = np.mean([grader(*each).lenient for each in zip(lines, problems, strict=True)])
        if first - lenient.mean() >= rule.min_gap:
            flags.append(
                f"the {role}'s outputs go on after the answer: by their first line alone its accuracy is "
                f"{first:.2f} instead of {lenient.mean():.2f}; give the task a stop text that ends them there"
            )
    return flags


def _looped(answers: Mapping[Role, Answers]) -> str:
    """How many of the cut outputs no larger `max_new_tokens` would end: they repeat themselves."""
    cut = [text for own in answers.values() for text in np.array(own.texts, dtype=object)[own.unfinished]]
    looped = sum(map(ends_in_a_loop, cut))
    if not looped:
        return ""
    return (
        f". {looped} of the {len(cut)} cut outputs end in the same text over and over: more tokens would not "
        "end them"
    )
