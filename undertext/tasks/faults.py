"""What pydantic finds wrong with a part of a task, as (path to the field, "expected ..., got ...")."""

from typing import Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from undertext.tasks.fields import shown

Path = tuple[str | int, ...]

_WANTED = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "greater_than_equal": "a number of at least {ge}",
    "literal_error": "{expected}",
    "invalid_key": "a key that is text",
}
"""What was wanted, by pydantic's name for the error."""


class Fault(NamedTuple):
    """One thing wrong: the path to the field (empty for the whole) and "expected ..., got ..."."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"field {written(self.path)!r}: {self.text}" if self.path else self.text


FileFaults = dict[int | None, list[Fault]]
"""The faults of each bad line of a file, by number from 1; those of the file as a whole under None."""


def faults_in(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Everything `error` says is wrong with what should have been a `model`."""
    return [_fault(details, model) for details in error.errors(include_url=False)]


def _fault(details: ErrorDetails, model: type[BaseModel]) -> Fault:
    kind, context = details["type"], details.get("ctx", {})
    path = tuple(part for part in details["loc"] if part != "[key]")  # pydantic's mark for a bad key
    if kind == "value_error":
        return Fault(path, str(context["error"]))
    if kind == "extra_forbidden":
        valid = ", ".join(_model_at(path, model).model_fields)
        return Fault(path, f"expected one of the fields {valid}, got an unknown one")
    if kind == "missing":
        return Fault(path, f"expected {_wanted_for(path, model)}, got nothing")
    wanted = _WANTED[kind].format(**context) if kind in _WANTED else details["msg"]
    return Fault(path, f"expected {wanted}, got {shown(details['input'])}")


def _model_at(path: Path, model: type[BaseModel]) -> type[BaseModel]:
    """The model that holds the field at `path`."""
    for part in path[:-1]:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next(t for t in (*get_args(annotation), annotation) if issubclass(t, BaseModel))
    return model


def _wanted_for(path: Path, model: type[BaseModel]) -> str:
    """What a required field should have held."""
    annotation = _model_at(path, model).model_fields[str(path[-1])].annotation
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(get_args(annotation))}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a mapping with {', '.join(annotation.model_fields)}"
    return "text"


def written(path: Path) -> str:
    """A path as it is written for a reader: `("steps", 2, "text")` as `steps[2].text`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")
