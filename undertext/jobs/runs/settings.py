"""The settings in which runs of one job differ, as the cells of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from undertext.core.config import WORK_ONLY
from undertext.core.output import plain
from undertext.core.result import OF_THE_RUN, Result
from undertext.core.resume import flattened

NAMED = ("base", "tuned", "checkpoint", "stronger", "task")
"""Inputs that a result names beside their fingerprints."""
_DERIVED = ("task_read", "training_batch_size")
"""Records that depend on other settings, which are there."""
_CONFIG = "config."
Setting = str | int | float


def differing(results: Sequence[Result], taken: Sequence[str]) -> list[dict[str, Setting]]:
    """Of each result, the settings that are not the same in all: names of inputs first, then the rest.

    A setting's own name is its key; with `config.` before it where a figure has that name (`taken`). Inputs
    of one name that are not the same have the beginning of their fingerprints after the name.
    """
    records = [_settings(result) for result in results]
    keys = list(dict.fromkeys(key for record in records for key in record))
    differ = [key for key in keys if any(record.get(key) != records[0].get(key) for record in records)]
    differ.sort(key=lambda key: key not in NAMED)
    rows: list[dict[str, Setting]] = [{} for _ in records]
    for key in differ:
        own = [record.get(key) for record in records]
        name = key.removeprefix(_CONFIG)
        label = f"{_CONFIG}{name}" if name in taken else name
        for row, cell in zip(rows, _cells(own), strict=True):
            row[label] = cell
    return rows


def _settings(result: Result) -> dict[str, Any]:
    """What a run depends on, by dotted keys; an input with a name as the pair of name and fingerprint."""
    left = {*OF_THE_RUN, *_DERIVED, "job", "notes"}
    run = {key: plain(value) for key, value in result.run.items() if key not in left}
    if isinstance(config := run.get("config"), Mapping):
        run["config"] = {key: value for key, value in config.items() if key not in WORK_ONLY}
    settings = flattened(run)
    for key in NAMED:
        record = result.summary.get(key)
        if isinstance(record, Mapping) and "name" in record:
            settings[key] = (str(record["name"]), str(record.get("fingerprint")))
    return settings


def _cells(values: Sequence[Any]) -> list[Setting]:
    """The values of one setting: numbers where all are, and otherwise texts, as different as the values."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return list(values)
    names: dict[str, set[str]] = {}
    for value in values:
        if isinstance(value, tuple):
            names.setdefault(value[0], set()).add(value[1])
    return [
        f"{value[0]} [{value[1][:8]}]"
        if isinstance(value, tuple) and len(names[value[0]]) > 1
        else value[0]
        if isinstance(value, tuple)
        else _text(value)
        for value in values
    ]


def _text(value: Any) -> str:
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case Mapping():
            return "{" + ", ".join(f"{key}: {_text(part)}" for key, part in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_text, value)) + "]"
    return str(value)
