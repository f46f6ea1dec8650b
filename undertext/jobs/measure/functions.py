"""The user's own functions on the steps of a trace, named in the config or given in Python."""

from pathlib import Path
from typing import Any, NamedTuple

from undertext.core.shipped import ZOO
from undertext.jobs.measure.config import MeasureConfig
from undertext.tasks.dead_ends import StateFunction
from undertext.tasks.paraphrases import ParaphraseFunction
from undertext.tasks.step_function import Kind, step_function
from undertext.tasks.task import Task
from undertext.tasks.valid_steps import ValidFunction

Given = Any
"""What a user may give: a function, its name as module:function, or None; anything else is refused."""


class Functions(NamedTuple):
    """The functions of one job; None where there is none."""

    dead_ends: StateFunction | None = None
    paraphrase: ParaphraseFunction | None = None
    valid: ValidFunction | None = None

    @property
    def sources(self) -> dict[str, str | None]:
        """A digest of each one's file: results of another version are told apart."""
        return {name: None if own is None else own.source for name, own in self._asdict().items()}


def open_functions(
    source: str | Path | Task,
    config: MeasureConfig,
    *,
    dead_ends: Given = None,
    paraphrase: Given = None,
    valid: Given = None,
) -> Functions:
    """The functions that are given, or else those that the config names; none is taken from a task's folder.

    Raises UserError as `step_function`.
    """
    folder = None if isinstance(source, Task) or str(source).startswith(ZOO) else Path(source)

    def opened(kind: type[Kind], given: Given, named: str | None) -> Kind | None:
        own = named if given is None else given
        return None if own is None else step_function(kind, own, folder, config.grader_seconds)

    return Functions(
        opened(StateFunction, dead_ends, config.dead_ends),
        opened(ParaphraseFunction, paraphrase, config.paraphrase),
        opened(ValidFunction, valid, config.valid),
    )
