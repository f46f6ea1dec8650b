"""How a job is told to split what was written into steps."""

from typing import Annotated

from pydantic import AfterValidator, Field

from undertext.core.config import Config
from undertext.tasks.steps import AUTO, checked_rule


class StepsConfig(Config):
    """Of a job that reads written traces step by step."""

    steps: Annotated[str, AfterValidator(checked_rule)] = AUTO
    """Rule by which a written trace is split into steps: newline, sentence, think, regex:PATTERN (a step ends
    where a match ends), or auto for the way in which the task's own steps end."""
    lead: str | None = Field(default=None, min_length=1)
    """Text between the last step and the answer where answers are scored along traces; None takes what most
    of the task's own traces put there, or 'Answer:' on a line of its own."""
