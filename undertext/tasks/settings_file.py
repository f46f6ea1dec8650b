"""Reading task.yaml: its settings, or everything that is wrong with it, by line."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from undertext.tasks.fields import Fault, FileFaults, Path, faults_in, shown
from undertext.tasks.grade import Grader
from undertext.tasks.task import Settings


def read_settings(data: bytes) -> tuple[Settings | None, Grader | None, FileFaults]:
    """Read the bytes of a task.yaml.

    Returns the settings (None when anything is wrong), the grader (None when it is wrong itself, so
    that answers can be checked even where other settings are wrong) and the faults.
    """
    try:
        text = data.decode("utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        settings = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        bad_line = data.count(b"\n", 0, error.start) + 1
        return None, None, {bad_line: [Fault((), f"expected UTF-8, got byte 0x{data[error.start]:02x}")]}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or str(error).splitlines()[0]
        line = mark.line + 1 if mark else None
        return None, None, {line: [Fault((), f"expected YAML, got an error: {why}")]}
    if not isinstance(settings, dict):
        wanted = f"expected a mapping with the keys {', '.join(Settings.model_fields)}"
        got = "nothing" if settings is None else shown(settings)
        return None, None, {None: [Fault((), f"{wanted}, got {got}")]}
    faults: FileFaults = defaultdict(list)
    lines: dict[Path, int] = {}
    for path, line in _places(root, ()):
        if path in lines:
            faults[line].append(Fault(path, f"expected each key once, got it on line {lines[path]} as well"))
        lines.setdefault(path, line)
    try:
        model = Settings.model_validate(settings)
    except ValidationError as error:
        for fault in faults_in(error, Settings):
            faults[_line(fault.path, lines)].append(fault)
    return (None if faults else model), _grader(settings), faults


def _grader(settings: dict[str, Any]) -> Grader | None:
    try:
        return Grader.model_validate(settings.get("grader"))
    except ValidationError:
        return None


def _places(node: yaml.Node | None, path: Path) -> Iterator[tuple[Path, int]]:
    """The path and line of every key and item, no deeper than settings go (aliases may make a loop)."""
    if len(path) >= 3:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _places(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield (*path, i), item.start_mark.line + 1
            yield from _places(item, (*path, i))


def _line(path: Path, lines: dict[Path, int]) -> int | None:
    """The line of the field at `path`, or of the innermost thing around it that is there."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)
