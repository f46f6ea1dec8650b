"""Problems with choices, as a task holds them."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from undertext.tasks.grade import Grader

CHOICE_GRADER = Grader(kind="likelihood")


def choice_fields(prompt: str, choices: Sequence[str], right: int) -> dict[str, Any]:
    """Fields of a problem whose choices continue the prompt; `right` is the index of the right one."""
    texts = [choice.strip() for choice in choices]
    return {"prompt": prompt, "answer": texts[right], "choices": texts}


def lettered(prompt: str, choices: Sequence[str]) -> str:
    """A prompt with its choices below it, a line each: `A) ...`."""
    lines = [f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]
    return "\n".join([prompt.rstrip(), "", *lines])
