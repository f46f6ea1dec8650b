"""Problems with choices, as a task holds them."""

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from undertext.tasks.grade import Grader
from undertext.tasks.task import Problem

LIKELIHOOD = "choices" in Problem.model_fields


def choice_fields(prompt: str, choices: Sequence[str], right: int) -> dict[str, Any]:
    """Fields of a problem whose choices continue the prompt; `right` is the index of the right one."""
    texts = [choice.strip() for choice in choices]
    return {"prompt": prompt, "answer": texts[right], **({"choices": texts} if LIKELIHOOD else {})}


def choice_grader(problems: Sequence[Mapping[str, Any]]) -> Grader:
    """By likelihood where tasks know of it; otherwise by the letter, or by the text where there is none."""
    if LIKELIHOOD:
        return Grader.model_validate({"kind": "likelihood"})
    answers = [str(fields["answer"]) for fields in problems if "answer" in fields]
    letters = bool(answers) and all(re.fullmatch("[A-Za-z]", answer) for answer in answers)
    return Grader(kind="choice" if letters else "exact")


def lettered(prompt: str, choices: Sequence[str]) -> str:
    """A prompt with its choices below it, a line each: `A) ...`."""
    lines = [f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]
    return "\n".join([prompt.rstrip(), "", *lines])
