"""A tokenizer's chat template, rendered in a process of its own.

A template is a program that came with a checkpoint: it may loop for ever or fill the memory. The process that
renders is ended where it takes too long, and may take only so much memory beyond what it began with.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.files import one_line
from undertext.core.printable import printable, shown
from undertext.tasks.worker import TooLong, Worker

LONGEST = 2_000_000
"""Characters of a text that a chat template may make of a prompt."""
SECONDS = 10.0
"""Time that the texts of one problem may take."""
MOST_BYTES = 1 << 30
"""Memory that rendering may take."""

Turns = list[dict[str, str]]


class ChatTemplate:
    """Renders turns as the tokenizer's `apply_chat_template` does, with its generation prompt."""

    def __init__(self, checkpoint: Checkpoint, switches: Mapping[str, Any]) -> None:
        """Raises UserError where the tokenizer has no template, or the template has no such switch."""
        tokenizer: Any = checkpoint.tokenizer
        self._name = printable(checkpoint.name)
        if not tokenizer.chat_template:
            raise UserError(
                f"{self._name}: its tokenizer has no chat template, and the task asks it by one: give "
                "the task a `prompt` of kind plain or template for it"
            )
        source = str(tokenizer.get_chat_template())
        own = inspect.signature(tokenizer.apply_chat_template).parameters
        for switch in switches:  # an unknown one would change nothing, without a word
            if switch in own or not re.search(rf"\b{re.escape(switch)}\b", source):
                raise UserError(f"{self._name}: its chat template has no switch {shown(switch)}")

        asked = {"tokenize": False, "add_generation_prompt": True, **switches}

        def rendered(turns: Turns) -> tuple[str | None, str]:
            """The text, or None and what came instead: a text too long is not sent."""
            text = tokenizer.apply_chat_template(turns, **asked)
            if not isinstance(text, str):
                return None, type(text).__name__
            return (text, "") if 0 < len(text) <= LONGEST else (None, str(len(text)))

        self._worker = Worker(lambda: lambda many: [rendered(turns) for turns in many], MOST_BYTES)

    def texts(self, many: Sequence[Turns]) -> list[str]:
        """What is read of each, in order.

        Raises UserError where the template fails, takes longer than `SECONDS` for all of them, more memory
        than `MOST_BYTES`, or makes an empty text or one of more than `LONGEST` characters.
        """
        try:
            given = self._worker.ask(list(many), SECONDS)
        except TooLong:
            raise UserError(
                f"{self._name}: its chat template does not end: expected the texts of one problem within "
                f"{SECONDS:g} seconds, got none"
            ) from None
        except UserError as error:
            # A template raises what it likes (jinja2's errors, its own `raise_exception`, type errors).
            raise UserError(
                f"{self._name}: its chat template fails on this task: {one_line(error)}"
            ) from None
        for text, got in given:
            if text is None:
                raise UserError(
                    f"{self._name}: expected 1 to {LONGEST} characters from its chat template, got {got}"
                )
        return [text for text, _ in given]

    def close(self) -> None:
        """End the process."""
        self._worker.close()
