"""The kinds of field a task is made of, and how what is wrong with one is put into words."""

import json
import math
import re
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)
from pydantic_core import ErrorDetails

from undertext.core.printable import printable, shown


class Part(BaseModel):
    """Base of all parts of a task: frozen, unknown keys rejected, nothing converted by guesswork."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def expected(wanted: str, value: object) -> ValueError:
    """The error for a field that should have been `wanted` and is `value`."""
    return ValueError(f"expected {wanted}, got {shown(value)}")


def _encodable(text: str) -> str:
    """JSON and YAML can spell half a surrogate pair, which no file or tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise expected("text without lone surrogates", text) from None
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise expected("text that is not blank", text)
    return text


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1:
        raise expected("text on one line", text)
    return text


def _split_name(name: str) -> str:
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise expected("a name of letters, digits, '_' and '-', such as 'test'", name)
    return name


def _is_number(value: object) -> bool:
    """Whether `value` is a finite number; JSON's `true` is none, though Python calls it an `int`."""
    if isinstance(value, float):
        return math.isfinite(value)  # 1e999 reads as infinity
    return isinstance(value, int) and not isinstance(value, bool)


def _number_to_text(value: object) -> str:
    if not isinstance(value, str) and not _is_number(value):
        raise expected("text or a finite number", value)
    return str(value)


def _value(value: object) -> object:
    if isinstance(value, str):
        return _not_blank(_encodable(value))
    if not _is_number(value):
        raise expected("text or a finite number", value)
    return value


MOST_JSON, DEEPEST_JSON = 256 * 1024, 40


def _json(value: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON that is read back as it was written: no tuples, no keys but text, no NaN."""
    try:
        text = _encodable(json.dumps(value, ensure_ascii=False, allow_nan=False))
        same, deep = json.loads(text) == value, _depth(value)
    except (TypeError, ValueError, RecursionError):
        raise expected("values as JSON has them", value) from None
    if not same:
        raise expected("values as JSON has them, with texts as keys", value)
    if len(text) > MOST_JSON or deep > DEEPEST_JSON:
        most = f"at most {MOST_JSON:,} characters of JSON, nested at most {DEEPEST_JSON} deep"
        raise ValueError(f"expected {most}, got {len(text):,}, nested {deep} deep")
    return value


def _depth(value: object) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(_depth, parts), default=0)


Info = Any
"""pydantic's `ValidationInfo`, a protocol that nothing can be checked against while a program runs."""
AnyText = Annotated[str, Field(min_length=1), AfterValidator(_encodable)]
"""Text that may be whitespace alone."""
Text = Annotated[str, AfterValidator(_encodable), AfterValidator(_not_blank)]
Template = Annotated[str, Field(max_length=20_000), AfterValidator(_encodable), AfterValidator(_not_blank)]
"""Text that is put around every prompt: a longer one is a slip, and costs its length times the prompts."""
Line = Annotated[Text, AfterValidator(_one_line)]
TextOrNumber = Annotated[Text, BeforeValidator(_number_to_text)]
"""Text; a number is turned into text."""
SplitName = Annotated[str, AfterValidator(_split_name)]
Json = Annotated[dict[str, Any], AfterValidator(_json)]
"""A mapping as JSON has it, of bounded size."""
Value = Annotated[str | int | float, PlainValidator(_value)]
"""A latent quantity: a class or a number."""


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
    "less_than_equal": "a number of at most {le}",
    "string_too_long": "text of at most {max_length} characters",
    "literal_error": "{expected}",
    "too_long": "a list of at most {max_length}",
    "invalid_key": "a key that is text",
}
"""What was wanted, by pydantic's name for the error."""


class Fault(NamedTuple):
    """One thing wrong: the path to the field (empty for the whole) and "expected ..., got ..."."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"field {shown(written(self.path))}: {self.text}" if self.path else self.text


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
    wanted = _WANTED[kind].format(**context) if kind in _WANTED else printable(details["msg"], 200)
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
