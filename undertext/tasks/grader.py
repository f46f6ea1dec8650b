"""How a task's outputs are graded: the setting, and what it asks of patterns and answers."""

import re
from typing import Literal

from pydantic import Field, field_validator

from undertext.tasks.fields import AnyText, Info, Part, expected, shown
from undertext.tasks.number import parse_number


class Grader(Part):
    """The way of grading; `pattern` is a regular expression whose group 1 is the answer (kind `regex`)."""

    kind: Literal["exact", "number", "choice", "regex"]
    pattern: AnyText | None = Field(default=None, validate_default=True)

    @field_validator("pattern")
    @classmethod
    def _suits_kind(cls, pattern: str | None, info: Info) -> str | None:
        kind = info.data.get("kind")
        if pattern is None:
            if kind == "regex":
                raise ValueError("expected a regular expression (the kind is regex), got nothing")
            return None
        if kind is not None and kind != "regex":
            raise expected(f"no pattern (the kind is {kind})", pattern)
        try:
            groups = re.compile(pattern).groups
        except (re.error, OverflowError, RecursionError) as error:
            wrong = f"{shown(pattern)}, which does not compile: {error}"
            raise ValueError(f"expected a regular expression, got {wrong}") from None
        if groups == 0:
            raise expected(r"a pattern with a group that holds the answer, as in 'answer (\d+)'", pattern)
        return pattern


def answer_fault(grader: Grader, answer: str) -> str | None:
    """Why no output could be graded right against `answer`, as "expected ..., got ...", or None."""
    if grader.kind == "number" and parse_number(answer) is None:
        return f"expected a number (the grader's kind is number), got {shown(answer)}"
    if grader.kind == "choice" and not re.fullmatch("[A-Za-z]", answer.strip()):
        return f"expected a single letter (the grader's kind is choice), got {shown(answer)}"
    return None
