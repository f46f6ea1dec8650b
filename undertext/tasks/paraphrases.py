"""Steps of a trace in other words, by a function of the user's own: what they say stays the same."""

from collections.abc import Sequence
from typing import Any

from undertext.tasks.step_function import StepFunction, kind_of
from undertext.tasks.task import Problem


class ParaphraseFunction(StepFunction):
    """A user's `(steps, problem) -> a list of texts, one a step`, bounded in time."""

    what, things, wanted = "a function that says steps in other words", "texts", "texts"

    def __call__(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """These steps in other words. Raises UserError as `ask`."""
        return self.ask(texts, problem)

    @staticmethod
    def _plain(each: Any) -> Any:
        return str(each) if isinstance(each, str) else [kind_of(each)]

    def _is_wanted(self, each: Any) -> bool:
        return isinstance(each, str)
