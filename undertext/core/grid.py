"""Grids: a config whose key `grid` lists several values for some settings, and the runs that come of it.

The key maps settings to lists, and each combination of their values is a run. It stands apart from the other
settings, so that a setting that is a list by itself (`layers: [1, 2]`) means what it always does.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from undertext.activations.errors import UserError
from undertext.core.config import config_values, problems_of
from undertext.core.printable import printable, shown
from undertext.core.shipped import ZOO

Model = TypeVar("Model", bound=BaseModel)
GRID = "grid"
MOST_RUNS = 1000
LONGEST_VALUE, LONGEST_NAME = 40, 120
"""Characters of a value in the name of a run, and of the whole name; file systems take 255 bytes."""
_FIXED = ("out", "overwrite")
"""Settings of the whole grid."""
_LISTED = f" (to run each value, list them for this key under `{GRID}:`)"
_PARTS = 2
"""Parts of a path, from its end, in the name of a run."""
_MOST_SAID = 3
"""Combinations of which an error says what is wrong."""


@dataclass(frozen=True)
class GridRun(Generic[Model]):
    """One combination of a grid's values."""

    name: str
    """Name of the folder that the run is written to."""
    config: Model
    """All settings."""


@dataclass(frozen=True)
class Grid(Generic[Model]):
    """The runs of a config file: one, and no settings that vary, where the file has no key `grid`."""

    file: str
    """The file as messages name it."""
    settings: Sequence[str]
    """Settings that the grid gives values to."""
    runs: Sequence[GridRun[Model]]

    def over(self, rest: Mapping[str, Any]) -> "Grid[Model]":
        """The grid with other values for the settings that do not vary. Raises UserError as `read_grid`."""
        kind = type(self.runs[0].config)
        given = [{**rest, **{name: getattr(run.config, name) for name in self.settings}} for run in self.runs]
        configs = _validated(kind, given, [run.name for run in self.runs], self.file)
        runs = [replace(run, config=config) for run, config in zip(self.runs, configs, strict=True)]
        return replace(self, runs=runs)


def read_grid(kind: type[Model], path: str | Path) -> Grid[Model]:
    """Every run of a config file, each a config of this kind, in the order of the lists, the last varying
    fastest.

    Raises UserError where any run is no good, naming the file, the combination and the key; for a setting
    that the file also holds beside its grid; for a value that is listed twice; and for more than `MOST_RUNS`
    runs.
    """
    values, file = config_values(path), printable(str(path))
    if GRID not in values:
        return Grid(file, (), [GridRun("", *_validated(kind, [values], [""], file))])
    lists = _lists(kind, values.pop(GRID), values, file)
    chosen = [dict(zip(lists, each, strict=True)) for each in product(*lists.values())]
    rough = [", ".join(f"{key}={_given(value)}" for key, value in each.items()) for each in chosen]
    configs = _validated(kind, [{**values, **each} for each in chosen], rough, file)
    names = _names(list(lists), configs, file)
    return Grid(file, tuple(lists), [GridRun(*each) for each in zip(names, configs, strict=True)])


def _lists(
    kind: type[BaseModel], grid: Any, values: Mapping[Any, Any], file: str
) -> dict[str, Sequence[Any]]:
    """The lists of a grid by setting, found to be lists of settings that there are."""
    if not isinstance(grid, dict) or not grid:
        raise UserError(f"{file}: {GRID}: expected settings with a list of values each, got {shown(grid)}")
    for key, listed in grid.items():
        if key not in kind.model_fields or key in _FIXED:
            valid = ", ".join(name for name in kind.model_fields if name not in _FIXED)
            raise UserError(f"{file}: {GRID}: no setting {shown(key)} that can vary (valid: {valid})")
        if not isinstance(listed, list) or not listed:
            got = "none" if listed == [] else shown(listed)
            raise UserError(f"{file}: {GRID}.{key}: expected a list of values, got {got}")
        if key in values:
            raise UserError(f"{file}: {key} stands in the {GRID} and beside it: give it once")
    if (count := prod(map(len, grid.values()))) > MOST_RUNS:
        raise UserError(f"{file}: expected a {GRID} of {MOST_RUNS:,} runs or fewer, got {shown(count)}")
    return grid


def _validated(
    kind: type[Model], given: Sequence[Mapping[Any, Any]], names: Sequence[str], file: str
) -> list[Model]:
    """A config of each run; UserError that says what is wrong with which run, once where all have it."""
    configs, wrong = [], {}
    for name, values in zip(names, given, strict=True):
        try:
            configs.append(kind.model_validate(values))
        except ValidationError as error:
            wrong[name] = problems_of(error, kind, _LISTED)
    if not wrong:
        return configs
    if len(wrong) == len(given) and len(set(wrong.values())) == 1:
        raise UserError(f"{file}: {next(iter(wrong.values()))}")
    said = [f"with {printable(name, 200)}: {problems}" for name, problems in wrong.items()][:_MOST_SAID]
    more = [f"and {len(wrong) - _MOST_SAID} more"] if len(wrong) > _MOST_SAID else []
    raise UserError(f"{file}: {'; '.join([*said, *more])}")


def _names(keys: Sequence[str], configs: Sequence[BaseModel], file: str) -> list[str]:
    """A name a run: `seed=0,dtype=float32`, of the settings that have several values, or of all where none
    has.

    Of a path its last two parts are said; what is not of letters, digits and `_ . -` becomes `-`. Values that
    are then alike, or long, end in a digest, and so does a long name: names differ by more than case, and do
    not depend on other runs but those.
    """
    plain = [config.model_dump(mode="json", include=set(keys)) for config in configs]
    texts: dict[str, dict[str, str]] = {}
    for key in keys:
        own = {json.dumps(each[key], sort_keys=True): _text(each[key]) for each in plain}
        counts = [text.casefold() for text in own.values()]
        texts[key] = {
            value: text
            if len(text) <= LONGEST_VALUE and counts.count(text.casefold()) == 1
            else f"{text[-LONGEST_VALUE:]}-{_digest(value)}"
            for value, text in own.items()
        }
    varying = [key for key in keys if len(texts[key]) > 1] or keys
    names = []
    for each in plain:
        parts = [f"{key}={texts[key][json.dumps(each[key], sort_keys=True)]}" for key in varying]
        name = ",".join(parts)
        names.append(
            name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 9]}-{_digest(json.dumps(each))}"
        )
    counted = Counter(map(str.casefold, names))
    if twice := [name for name in names if counted[name.casefold()] > 1]:
        raise UserError(f"{file}: {GRID}: a value is listed twice, and {twice[0]} would run twice")
    return names


def _text(value: Any) -> str:
    """A value as a part of a file's name may say it."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() | float():
            return str(value).replace("+", "")
        case Mapping():
            return "+".join(f"{_text(key)}-{_text(part)}" for key, part in value.items()) or "none"
        case list():
            return "+".join(map(_text, value)) or "none"
    parts = str(value).removeprefix(ZOO).replace("\\", "/").rstrip("/").split("/")
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts[-_PARTS:])).strip("-") or "empty"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def _given(value: Any) -> str:
    """A value of a file in a message."""
    return printable(json.dumps(value, ensure_ascii=False), 60)
