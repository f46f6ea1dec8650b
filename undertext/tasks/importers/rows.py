"""Rows of a data set as problems: GSM8K's and MATH's by name, any other by a map of columns."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from undertext.activations.errors import UserError
from undertext.core.config import problems_of
from undertext.core.printable import shown
from undertext.tasks.importers.solutions import (
    MATH_GRADER,
    NUMBER_GRADER,
    Marks,
    Solution,
    gsm8k_solution,
    math_solution,
    sentences,
)
from undertext.tasks.importers.source import Item, Source, plain_json, value_at

Format = Literal["gsm8k", "math", "columns"]
Placed = Iterable[tuple[str, Mapping[str, Any], str | None]]
"""Rows, each with its place, and with its split where the source names one."""


class Columns(BaseModel):
    """The column that each field of a problem comes from; `a.b.0` goes into mappings and lists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    answer: str
    id: str | None = None
    trace: str | None = None
    """Cut into steps by line and sentence; a solution in GSM8K's form gives the answer and the values too."""
    type: str | None = None
    group: str | None = None
    split: str | None = None
    values: dict[str, str] = {}
    """Columns of the problem's values by name: `values.NAME=COLUMN` in a text."""

    @classmethod
    def from_text(cls, text: str) -> "Columns":
        """The map that a text such as `prompt=question,answer=answer` stands for. UserError for another."""
        found: dict[str, Any] = {}
        for pair in text.split(","):
            name, equals, column = (part.strip() for part in pair.partition("="))
            if not (name and equals and column):
                example = "FIELD=COLUMN,... as in prompt=question,answer=answer"
                raise UserError(f"expected --columns {example}, got {shown(text)}")
            values, dot, value = name.partition(".")
            if dot and values == "values":
                found.setdefault("values", {})[value] = column
            else:
                found[name] = column
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            raise UserError(f"--columns: {problems_of(error, cls)}") from error


def rows_source(
    rows: Placed, format: Format, columns: Columns | None = None, *, name: str, marks: Marks = "drop"
) -> Source:
    """What these rows hold; `columns` goes with the format of that name. A bad row has its `fault`."""
    unread = 0

    def worked(solution: Solution) -> dict[str, Any]:
        nonlocal unread
        unread += solution.unread
        return solution.fields

    def gsm8k(row: Mapping[str, Any]) -> dict[str, Any]:
        return {"prompt": value_at(row, "question"), **worked(gsm8k_solution(_text(row, "answer"), marks))}

    def mathematics(row: Mapping[str, Any]) -> dict[str, Any]:
        fields = {"prompt": value_at(row, "problem"), **worked(math_solution(_text(row, "solution")))}
        kinds = [row[column] for column in ("type", "subject") if isinstance(row.get(column), str)]
        level = {"metadata": {"level": plain_json(row["level"])}} if row.get("level") is not None else {}
        own = {"id": row["unique_id"]} if "unique_id" in row else {}
        return {**fields, **own, **level, **({"type": kinds[0]} if kinds else {})}

    def mapped(row: Mapping[str, Any]) -> dict[str, Any]:
        assert columns is not None
        fields = {"prompt": value_at(row, columns.prompt), "answer": value_at(row, columns.answer)}
        if isinstance(fields["answer"], str) and "####" in fields["answer"]:
            fields |= worked(gsm8k_solution(fields["answer"], marks))
        if columns.id is not None:
            fields["id"] = value_at(row, columns.id)
        for field, column in (("type", columns.type), ("group", columns.group)):
            if column is not None:
                fields[field] = str(value_at(row, column))
        if columns.trace is not None and (trace := _text(row, columns.trace).strip()):
            fields |= _traced(trace, worked, marks)
        return {
            **fields,
            "values": {value: value_at(row, column) for value, column in columns.values.items()},
        }

    convert = {"gsm8k": gsm8k, "math": mathematics, "columns": mapped}[format]
    items = [_item(place, row, split, n, convert, columns) for n, (place, row, split) in enumerate(rows)]
    graders = {"gsm8k": NUMBER_GRADER, "math": MATH_GRADER, "columns": None}
    notes = [f"values: {unread} left out, which their step does not say, or says twice"] if unread else []
    about = {"gsm8k": "Word problems in the format of GSM8K", "math": "Problems in the format of MATH"}
    return Source(name, f"{about.get(format, 'Problems')} from {name}.", items, graders[format], notes=notes)


def _item(
    place: str,
    row: Mapping[str, Any],
    split: str | None,
    number: int,
    convert: Callable[[Mapping[str, Any]], dict[str, Any]],
    columns: Columns | None,
) -> Item:
    try:
        if columns is not None and columns.split is not None:
            split = str(value_at(row, columns.split))
        fields = convert(row)
    except (ValueError, TypeError) as error:
        return Item(place, row, split=split, fault=str(error))
    fields.setdefault("id", f"{split}-{number}" if split else number)
    return Item(place, row, fields, split)


def _text(row: Mapping[str, Any], column: str) -> str:
    text = value_at(row, column)
    if not isinstance(text, str):
        raise ValueError(f"expected text in the column {column!r}, got a {type(text).__name__}")
    return text


def _traced(trace: str, worked: Callable[[Solution], dict[str, Any]], marks: Marks) -> dict[str, Any]:
    """Fields from a trace: steps alone, for a trace in GSM8K's form its values as well."""
    if "####" in trace or "<<" in trace:
        try:
            fields = worked(gsm8k_solution(trace, marks))
            return {name: fields[name] for name in ("trace", "steps")}
        except ValueError:
            pass
    return {"trace": trace, "steps": [{"text": part} for part in sentences(trace)]}
