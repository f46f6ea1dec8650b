"""Form and ending of outputs: how much of a change is the answer's format alone, and how many were cut."""

from collections.abc import Mapping
from typing import Literal

from undertext.core.statistics import Estimate, paired_difference, proportion
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import Rule
from undertext.measures.answers import Answers
from undertext.tasks.grade import Grader

FlagName = Literal[
    "rationalised", "shortcut", "memorised", "overconfident", "voice lost", "format only", "unfinished"
]
FORMAT: Literal["format"] = "format"
FORMAT_ONLY: Literal["format only"] = "format only"
UNFINISHED: Literal["unfinished"] = "unfinished"


def form_change(answers: Mapping[Role, Answers], level: float) -> Estimate:
    """The difference in strict accuracy, tuned less base, less that in lenient accuracy."""
    base, tuned = (answers[role].strict.astype(float) - answers[role].lenient for role in ROLES)
    return paired_difference(base, tuned, level, answers["base"].clusters)


def form_name(answers: Mapping[Role, Answers], rule: Rule) -> str | None:
    """The name of what strict and lenient grading tell apart; None where they do not surely differ.

    `format only` where strict accuracy changed more, `format` where lenient accuracy did.
    """
    apart = form_change(answers, rule.level)
    if not (apart.low > rule.format_above or apart.high < -rule.format_above):
        return None
    lenient, strict = _changes(answers)
    return FORMAT_ONLY if abs(strict) > abs(lenient) else FORMAT


def format_flag(answers: Mapping[Role, Answers], rule: Rule, grader: Grader) -> str | None:
    """The same as a sentence."""
    name = form_name(answers, rule)
    if name is None:
        return None
    lenient, strict = _changes(answers)
    apart = with_interval(form_change(answers, rule.level), "+.2f")
    if name == FORMAT_ONLY:
        what = f"{apart} of the first is only the answer's format"
    elif grader.asks_for_form:
        what = f"{apart}: right answers are not in the form asked for"
    else:
        what = f"{apart}: the task asks for no form, and strictly right is {grader.strict_form}"
    return (
        f"{name}: graded strictly the difference, tuned less base, is {strict:+.2f}, leniently "
        f"{lenient:+.2f}; {what} (`format_above` {rule.format_above:g})"
    )


def _changes(answers: Mapping[Role, Answers]) -> tuple[float, float]:
    """Tuned less base, lenient and strict. Means of differences: 3 of 10 less 2 of 10 is 1 of 10."""
    base, tuned = (answers[role] for role in ROLES)
    return (
        float((tuned.lenient.astype(float) - base.lenient).mean()),
        float((tuned.strict.astype(float) - base.strict).mean()),
    )


def unfinished_shares(answers: Mapping[Role, Answers], level: float) -> dict[Role, Estimate]:
    """Of each checkpoint the share of outputs that are unfinished."""
    return {role: proportion(each.unfinished, level, each.clusters) for role, each in answers.items()}


def with_interval(found: Estimate, form: str = ".2f") -> str:
    """A figure with its interval, in a sentence."""
    return f"{found.value:{form}} [{found.low:.2f}, {found.high:.2f}]"
