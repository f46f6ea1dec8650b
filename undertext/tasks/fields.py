"""The kinds of field a task is made of, and how what is wrong with one is put into words."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

_LONGEST_SHOWN = 60


class Part(BaseModel):
    """Base of all parts of a task: frozen, unknown keys rejected, nothing converted by guesswork."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def shown(value: object) -> str:
    """`value` as an error message names it: on one line, and short."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            cut = value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "..."
            return repr(cut)
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a mapping"
    return f"a {type(value).__name__}"


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


Info = Any
"""pydantic's `ValidationInfo`, a protocol that nothing can be checked against while a program runs."""
AnyText = Annotated[str, Field(min_length=1), AfterValidator(_encodable)]
"""Text that may be whitespace alone."""
Text = Annotated[str, AfterValidator(_encodable), AfterValidator(_not_blank)]
Line = Annotated[Text, AfterValidator(_one_line)]
TextOrNumber = Annotated[Text, BeforeValidator(_number_to_text)]
"""Text; a number is turned into text."""
SplitName = Annotated[str, AfterValidator(_split_name)]
Value = Annotated[str | int | float, PlainValidator(_value)]
"""A latent quantity: a class or a number."""
