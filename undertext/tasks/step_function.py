"""A user's function on the steps of a trace: in a process of its own, which is ended where it is slow."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from undertext.activations.errors import UserError, shown
from undertext.tasks.function import asked, imported, source_of
from undertext.tasks.task import Problem
from undertext.tasks.worker import Worker


class StepFunction(ABC):
    """A user's `(steps, problem) -> a list with something for each step`, bounded in time."""

    what: str
    """What the function is called in messages."""
    things: str
    """What the list holds, in the plural."""
    wanted: str
    """What it may hold."""

    def __init__(self, function: Callable[..., Any], name: str, seconds: float) -> None:
        self.name, self._seconds, self._function = name, seconds, function
        plain = self._plain
        self._worker = Worker(lambda: lambda asked: _sendable(function(*asked), plain))

    @staticmethod
    @abstractmethod
    def _plain(each: Any) -> Any:
        """One entry as a plain value, which can be sent from the function's process; of what the list may not
        hold, something that `_is_wanted` refuses and that says its type."""

    @abstractmethod
    def _is_wanted(self, each: Any) -> bool:
        """Whether a plain value is one that the list may hold."""

    @property
    def source(self) -> str:
        """A digest of the function's file: results of another version are told apart."""
        return source_of(self._function)

    def ask(self, texts: Sequence[str], problem: Problem) -> list[Any]:
        """What the function says of these steps; it is not asked of no steps.

        Raises UserError, naming function and problem, where it raises, takes too long or returns something
        else.
        """
        if not texts:
            return []
        of = f"the function {shown(self.name, 100)} on the steps of problem {shown(problem.id, 60)}"
        said = asked(self._worker, (list(texts), problem), self._seconds, of, self.things)
        if not isinstance(said, list) or not all(map(self._is_wanted, said)):
            raise UserError(f"{of}: expected a list of {self.wanted}, got {shown(said, 100)}")
        if len(said) != len(texts):
            raise UserError(f"{of}: expected {len(texts)} {self.things}, one a step, got {len(said)}")
        return said


class FlagFunction(StepFunction):
    """A user's `(steps, problem) -> a list of true, false or None, one a step`, bounded in time."""

    wanted = "true, false and None"

    def __call__(self, texts: Sequence[str], problem: Problem) -> list[bool | None]:
        """What holds of these steps; None of those of which the function cannot tell. Raises UserError as
        `ask`."""
        return self.ask(texts, problem)

    @staticmethod
    def _plain(each: Any) -> Any:
        """Numpy's booleans are booleans too."""
        if each is None:
            return None
        return bool(each) if type(each).__name__ in ("bool", "bool_") else kind_of(each)

    def _is_wanted(self, each: Any) -> bool:
        return isinstance(each, bool | None)


Kind = TypeVar("Kind", bound=StepFunction)


def step_function(kind: type[Kind], given: Any, folder: Path | None, seconds: float) -> Kind:
    """A user's function, by itself or as `module:function`, which has so many seconds for a trace.

    Raises UserError as `imported` (from a task's `folder` none is taken), and for what is neither a function
    nor a name.
    """
    if isinstance(given, str):
        return kind(imported(given, kind.what, folder), given, seconds)
    if not callable(given):
        raise UserError(
            f"expected {kind.what}, or its name as module:function, got {shown(repr(given), 100)}"
        )
    return kind(given, getattr(given, "__qualname__", repr(given)), seconds)


def kind_of(value: Any) -> str:
    """A value's type in words."""
    return f"a {type(value).__name__}"


def _sendable(value: Any, plain: Callable[[Any], Any]) -> Any:
    """What the function returned as plain values."""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return kind_of(value)
    return [plain(each) for each in value]
