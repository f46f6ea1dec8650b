"""What is wrong with a split's outputs, before anything is said of the checkpoints: flags."""

from collections.abc import Mapping

import numpy as np

from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import Rule
from undertext.measures.answers import Answers
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Task


def output_flags(task: Task, split: str, answers: Mapping[Role, Answers], rule: Rule) -> list[str]:
    """Outputs that were cut, are blank, or go on after an answer that would have been right."""
    flags = []
    problems, grader = task.split(split), OutputGrader(task)
    cut = {role: float(answers[role].unfinished.mean()) for role in ROLES}
    if max(cut.values()) > 0:
        shares = ", ".join(f"{role} {share:.1%}" for role, share in cut.items())
        what = (
            f"outputs cut at max_new_tokens ({task.max_new_tokens}) before their answer was given: {shares}"
        )
        if max(cut.values()) > rule.max_unfinished:
            flags.append(
                f"no verdict: {what}; more than {rule.max_unfinished:.0%} of either may be right or wrong: "
                "raise the task's max_new_tokens, or give it a stop text where outputs go on after the answer"
            )
        else:
            flags.append(f"{what}; they count as wrong")
    for role in ROLES:
        texts, lenient = answers[role].texts, answers[role].lenient
        if blank := sum(not text.strip() for text in texts):
            ends = ", ".join(map(repr, task.stop)) or "none"
            flags.append(f"{blank} of the {role}'s {len(texts)} outputs are blank (stop texts: {ends})")
        lines = [(text.strip().splitlines() or [""])[0] for text in texts]
        first = np.mean([grader(*each).lenient for each in zip(lines, problems, strict=True)])
        if first - lenient.mean() >= rule.min_gap:
            flags.append(
                f"the {role}'s outputs go on after the answer: by their first line alone its accuracy is "
                f"{first:.2f} instead of {lenient.mean():.2f}; give the task a stop text that ends them there"
            )
    return flags
