"""What a task says of its prompts: the form in which a checkpoint is asked, and its reasoning's marks."""

from typing import Literal

from pydantic import Field, field_validator

from undertext.tasks.fields import AnyText, Info, Part, Template, Text, expected

MOST_EXAMPLES = 64


class PromptForm(Part):
    """How a problem's prompt becomes the text that a checkpoint reads; docs/tasks.md has each field."""

    kind: Literal["plain", "template", "chat"]
    template: Template = Field(default="{prompt}", validate_default=False)
    """Around the problem's prompt: the whole text of kind `template`, the user's turn of kind `chat`."""
    system: Text | None = None
    """The system's turn. (Kind `chat`.)"""
    examples: int = Field(default=0, ge=0, le=MOST_EXAMPLES)
    """Solved problems of train before the problem's own."""
    separator: AnyText = "\n\n"
    """Between one example and the next. (Kinds `plain` and `template`.)"""
    opening: AnyText | None = None
    """What the answer begins with, written for the checkpoint."""
    switches: dict[Text, bool | int | float | str] = Field(default_factory=dict)
    """The chat template's own, such as `enable_thinking`."""

    @field_validator("template")
    @classmethod
    def _holds_prompt(cls, template: str, info: Info) -> str:
        if "{prompt}" not in template:
            raise expected("a template with {prompt} in it", template)
        if info.data.get("kind") == "plain":
            raise expected("no template (the kind is plain)", template)
        return template

    @field_validator("system", "switches")
    @classmethod
    def _of_chat(cls, value: object, info: Info) -> object:
        if value and info.data.get("kind") not in (None, "chat"):
            raise ValueError(f"expected no {info.field_name} (the kind is {info.data['kind']}), got one")
        return value

    def __str__(self) -> str:
        """In words, for a report."""
        what = {"plain": "the plain prompt", "template": "a template", "chat": "the chat template"}[self.kind]
        parts = [
            what,
            *(["a system turn"] if self.system else []),
            *([f"{self.examples} solved examples"] if self.examples else []),
            *([f"the opening {self.opening!r}"] if self.opening else []),
            *(f"{name}={value}" for name, value in self.switches.items()),
        ]
        return ", ".join(parts)


PLAIN = PromptForm(kind="plain")


class Reasoning(Part):
    """The texts between which a checkpoint writes its reasoning; what comes after `close` is the answer."""

    open: Text = "<think>"
    close: Text = "</think>"

    @field_validator("close")
    @classmethod
    def _differs(cls, close: str, info: Info) -> str:
        if close == info.data.get("open"):
            raise ValueError("expected a text that differs from open's, got the same one")
        return close
