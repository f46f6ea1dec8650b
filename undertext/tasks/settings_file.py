"""Reading task.yaml: its settings, or everything that is wrong with it, by line."""

from collections import defaultdict
from typing import Any

from pydantic import ValidationError

from undertext.core.printable import shown
from undertext.core.yaml_file import YamlError, parse_yaml
from undertext.tasks.fields import Fault, FileFaults, Path, faults_in
from undertext.tasks.grade import Grader
from undertext.tasks.task import Settings


def read_settings(data: bytes) -> tuple[Settings | None, Grader | None, FileFaults]:
    """Read the bytes of a task.yaml.

    Returns the settings (None when anything is wrong), the grader (None when it is wrong itself, so
    that answers can be checked even where other settings are wrong) and the faults.
    """
    try:
        settings, lines, repeated = parse_yaml(data)
    except YamlError as error:
        return None, None, {error.line: [Fault((), f"expected YAML, got an error: {error}")]}
    if not isinstance(settings, dict):
        wanted = f"expected a mapping with the keys {', '.join(Settings.model_fields)}"
        got = "nothing" if settings is None else shown(settings)
        return None, None, {None: [Fault((), f"{wanted}, got {got}")]}
    faults: FileFaults = defaultdict(list)
    for path, line in repeated:
        faults[line].append(Fault(path, f"expected each key once, got it on line {lines[path]} as well"))
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


def _line(path: Path, lines: dict[Path, int]) -> int | None:
    """The line of the field at `path`, or of the innermost thing around it that is there."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)
