"""Grading by a function of the user's own (kind `python`), named on the command line or given in Python.

The function runs in a process of its own, which is ended where an output takes too long. It is never taken
from a task's folder: a task is data, and whoever opens one runs nothing of it.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from undertext.activations.errors import UserError, shown
from undertext.tasks.worker import TooLong, Worker

SECONDS = 10.0
"""Time that one output may take, unless told otherwise."""
_KEYS = {"strict", "lenient", "answer"}


class Graded(NamedTuple):
    """What the function says of an output."""

    strict: bool
    lenient: bool
    answer: str | None = None
    """What it took as the answer, where it says."""


class GradeFunction:
    """A user's `(output, problem) -> bool`, or a mapping of strict, lenient and answer, bounded in time."""

    def __init__(self, function: Callable[..., Any], name: str, seconds: float = SECONDS) -> None:
        self.name, self._seconds, self._function = name, seconds, function
        self._worker = Worker(lambda: lambda asked: _plain(function(*asked)))
        self._known: dict[tuple[str, str, str], Graded] = {}

    @property
    def source(self) -> str:
        """A digest of the function's file: results of another version are told apart."""
        return source_of(self._function)

    def __call__(self, output: str, problem: Any) -> Graded:
        """What the function says; asked once for an output, problem and answer.

        Raises UserError, naming function and output, where it raises, takes too long or returns something
        else.
        """
        key = (output, problem.id, problem.answer)
        if key not in self._known:
            where = f"{shown(repr(output), 80)} of problem {shown(problem.id, 60)}"
            of = f"the grader {shown(self.name, 100)} on the output {where}"
            said = asked(self._worker, (output, problem), self._seconds, of, "a grade")
            self._known[key] = _read(said, of)
        return self._known[key]


def asked(worker: Worker, given: Any, seconds: float, of: str, wanted: str) -> Any:
    """What a user's function returns, asked in its own process.

    Raises UserError that begins with `of` where it raises, and where nothing `wanted` comes in time.
    """
    try:
        return worker.ask(given, seconds)
    except TooLong:
        raise UserError(
            f"{of}: expected {wanted} within {seconds:g} seconds, got none (--grader-seconds)"
        ) from None
    except UserError as error:
        raise UserError(f"{of}: {shown(error, 200)}") from None


def source_of(function: Callable[..., Any]) -> str:
    """A digest of the file that a function stands in, or of its code where there is no file."""
    code = getattr(function, "__code__", None)
    file = None if code is None else Path(code.co_filename)
    text = file.read_bytes() if file is not None and file.is_file() else repr(code and code.co_code).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """What the function returned as plain values, which can be sent: numpy's booleans among them."""
    if isinstance(value, Mapping):
        return {str(k): v if isinstance(v, str | None) else _plain(v) for k, v in value.items()}
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    return f"a {type(value).__name__}" if value is not None else "None"


def _read(said: Any, of: str) -> Graded:
    if isinstance(said, bool):
        return Graded(said, said)
    wanted = 'expected true or false, or {"strict": true or false, "lenient": ..., "answer": text or None}'
    if not isinstance(said, dict):
        raise UserError(f"{of}: {wanted}, got {shown(said, 60)}")
    strict, lenient, answer = said.get("strict"), said.get("lenient"), said.get("answer")
    fits = isinstance(strict, bool) and isinstance(lenient, bool) and isinstance(answer, str | None)
    if not fits or set(said) - _KEYS:
        raise UserError(f"{of}: {wanted}, got {shown(said, 100)}")
    if strict and not lenient:
        raise UserError(f"{of}: expected lenient wherever it is strict, got strict alone")
    return Graded(bool(strict), bool(lenient), answer)


def named_function(name: str, folder: Path | None, seconds: float = SECONDS) -> GradeFunction:
    """The function `module:function` that grades. UserError as `imported`."""
    return GradeFunction(imported(name, "a grader", folder), name, seconds)


def imported(name: str, what: str, folder: Path | None = None) -> Any:
    """The function `module:function`, called `what` in messages. From a task's `folder` none is taken.

    Raises UserError for a name of another form, a module or function that cannot be found or imported, and
    one whose file lies in the task's folder.
    """
    module, _, attribute = name.partition(":")
    wanted = f"expected {what} as module:function that Python can import, got {shown(name, 100)}"
    if (
        not module
        or not attribute
        or not all(part.isidentifier() for part in f"{module}.{attribute}".split("."))
    ):
        raise UserError(wanted)
    try:
        parts = module.split(".")
        # Found from the top down: a package's own code runs when what is in it is looked up.
        for depth in range(1, len(parts) + 1):
            spec = importlib.util.find_spec(".".join(parts[:depth]))
            if spec is None:
                raise UserError(f"{wanted}: there is no module {'.'.join(parts[:depth])!r}")
            places = [spec.origin, *(spec.submodule_search_locations or [])]
            if folder is not None and any(_within(place, folder) for place in places):
                raise UserError(
                    f"{wanted}, whose file lies in the task's folder: a task's own code is not run"
                )
        function: Any = importlib.import_module(module)
        for part in attribute.split("."):
            function = getattr(function, part)
    except UserError:
        raise
    except AttributeError:
        raise UserError(f"{wanted}: {module} has no {attribute}") from None
    except Exception as error:
        raise UserError(
            f"{wanted}: {module} cannot be imported: {shown(f'{type(error).__name__}: {error}', 200)}"
        ) from None
    if not callable(function):
        raise UserError(f"{wanted}, which is no function")
    return function


def _within(place: str | None, folder: Path) -> bool:
    return place is not None and Path(place).resolve().is_relative_to(folder.resolve())
