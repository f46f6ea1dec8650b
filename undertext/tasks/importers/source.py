"""What an importer has read of a source, and the task that it makes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from undertext.activations.errors import UserError
from undertext.core.printable import printable, shown
from undertext.core.yaml_file import YamlError, parse_yaml, read_regular
from undertext.tasks.fields import Template, faults_in
from undertext.tasks.grade import Grader, answer_fault
from undertext.tasks.importers.splits import SplitConfig, with_splits
from undertext.tasks.problems_file import parse_object
from undertext.tasks.task import Problem, Task, answer_faults, fill

MOST_BYTES = 1024 * 1024 * 1024
MOST_ROWS = 1_000_000
MOST_LINES = 20
"""Bad rows that an error lists."""


@dataclass(frozen=True)
class Item:
    """A problem as its source has it."""

    place: str
    """Where it stands: `file.jsonl:17`, or `row 17`."""
    row: Mapping[str, Any]
    """What `--group` and `--split-column` look into."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of a `Problem`, less its split."""
    split: str | None = None
    """Where the source names one."""
    fault: str | None = None
    """Why it makes no problem."""
    output: str | None = None
    """What a model answered, where the source is a log."""


@dataclass(frozen=True)
class Source:
    """Everything that an importer has read."""

    name: str
    description: str
    items: list[Item]
    grader: Grader | None = None
    """None: what the answers look like decides."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings of the task: `stop`, `max_new_tokens`."""
    notes: list[str] = field(default_factory=list)


class Imported(NamedTuple):
    """A task that was imported."""

    task: Task
    outputs: list[dict[str, str]]
    """Of a log: `id` and `output`, one a problem that the logged model answered."""
    notes: list[str]
    """What was left out or chosen, a line each."""


class ImportConfig(SplitConfig):
    """The settings that every importer has."""

    out: Path | None = None
    """Folder to write; an existing folder must be empty."""
    name: str | None = None
    """Name of the task. Without one, the task is named after its source."""
    grader: str | None = None
    r"""Grader of the outputs, as task.yaml holds one: a kind, such as number, or a mapping, such as
    '{kind: regex, pattern: "answer (\d+)"}'. Without one, the format or the answers decide."""
    template: Template | None = None
    """Text around each problem's prompt, with {prompt} where the prompt goes."""
    skip_invalid: bool = False
    """Whether rows that make no valid problem are left out and counted. Otherwise such rows are an error."""


def make_task(source: Source, config: ImportConfig | None = None) -> Imported:
    """The task of what was read. Raises UserError naming the rows that make no problem, 20 at most."""
    config = config or ImportConfig()
    if config.template is not None and "{prompt}" not in config.template:
        raise UserError(f"expected a template with {{prompt}} in it, got {shown(config.template)}")
    notes = list(source.notes)
    grader = source.grader if config.grader is None else grader_of(config.grader)
    if grader is None:
        grader = guessed(str(item.fields["answer"]) for item in source.items if "answer" in item.fields)
        notes.append(f"grader: {grader.kind}, as the answers look; --grader names another")
    problems, named, outputs, faults = [], [], [], []
    first: dict[str, str] = {}
    for item in source.items:
        try:
            problem, split = _problem(item, grader, config)
            if first.setdefault(problem.id, item.place) != item.place:
                raise ValueError(
                    f"expected an id of its own, got {shown(problem.id)}, which {first[problem.id]} has"
                )
        except ValueError as error:
            faults.append(f"{item.place}: {error}")
            continue
        problems.append(problem)
        named.append(split)
        if item.output is not None:
            outputs.append({"id": problem.id, "output": item.output})
    if faults and (len(faults) == len(source.items) or not config.skip_invalid):
        raise UserError(_listed(faults, len(source.items)))
    if faults:
        notes.append(f"left out: {len(faults)} of {len(source.items)} rows; the first: {faults[0]}")
    done, more = with_splits(problems, named, config)
    settings = {"name": source.name, "description": source.description, "grader": grader, **source.settings}
    if config.name is not None:
        settings["name"] = config.name
    try:
        task = Task(**settings, problems=done)
    except ValidationError as error:
        raise UserError("; ".join(str(fault) for fault in faults_in(error, Task))) from error
    kept = {problem.id for problem in done}
    return Imported(task, [each for each in outputs if each["id"] in kept], notes + more)


def _problem(item: Item, grader: Grader, config: ImportConfig) -> tuple[Problem, str | None]:
    """The problem and its split. ValueError says what is wrong."""
    if item.fault is not None:
        raise ValueError(item.fault)
    fields = {**item.fields, "split": "train"}
    if config.group is not None:
        fields["group"] = str(value_at(item.row, config.group))
    split = item.split if config.split_column is None else str(value_at(item.row, config.split_column))
    try:
        problem = Problem.model_validate(fields)
        if split is not None:
            Problem.model_validate({**fields, "split": split})
    except ValidationError as error:
        raise ValueError("; ".join(str(fault) for fault in faults_in(error, Problem)[:4])) from None
    for path, fault in answer_faults(problem, grader):
        raise ValueError(f"field {shown('.'.join(map(str, path)))}: {fault}")
    if config.template is not None:
        problem = problem.model_copy(update={"prompt": fill(config.template, problem.prompt)})
    return problem, split


def _listed(faults: list[str], rows: int) -> str:
    if len(faults) == 1:
        return f"{faults[0]} (--skip-invalid True leaves such rows out)" if rows > 1 else faults[0]
    more = [f"and {len(faults) - MOST_LINES} more"] if len(faults) > MOST_LINES else []
    first = f"{len(faults)} of {rows} rows make no problem (--skip-invalid True leaves such rows out):"
    return "\n".join([first, *faults[:MOST_LINES], *more])


def grader_of(text: str) -> Grader:
    """The grader that a text names: a kind, or a mapping as task.yaml has it."""
    try:
        read = parse_yaml(text).values
        return Grader.model_validate(read if isinstance(read, dict) else {"kind": read})
    except YamlError as error:
        raise UserError(f"expected a grader's kind or a mapping in --grader, got no YAML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(str(fault) for fault in faults_in(error, Grader))
        raise UserError(f"--grader {printable(text, 100)}: {faults}") from error


def guessed(answers: Iterable[str]) -> Grader:
    """`number` where all answers are numbers, `choice` where all are single letters, otherwise `exact`."""
    given = list(answers)
    for kind in ("number", "choice"):
        if given and all(answer_fault(Grader(kind=kind), answer) is None for answer in given):
            return Grader(kind=kind)
    return Grader(kind="exact")


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """What a row holds under a column; `a.b.0` goes into mappings and lists. ValueError for nothing."""
    found: Any = row
    for key in [column] if column in row else column.split("."):
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list | tuple) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            columns = printable(", ".join(map(str, row)), 300)
            raise ValueError(f"expected a column {shown(column)}, got {columns or 'nothing'}")
    if found is None:
        raise ValueError(f"expected a value in the column {shown(column)}, got null")
    return found


def read_file(path: Path) -> bytes:
    """The bytes of a source's file, at most `MOST_BYTES`. Raises UserError where it cannot be read."""
    file = printable(str(path))
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UserError(f"{file}: expected a file that can be read, got: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{file}: {error}") from error


def read_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a JSONL file, each with its place. Raises UserError naming the first bad line."""
    data = read_file(path).removeprefix(b"\xef\xbb\xbf")
    rows = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            place = f"{printable(path.name)}:{number}"
            try:
                rows.append((place, parse_object(line)))
            except ValueError as error:
                raise UserError(f"{place}: {error}") from error
            if len(rows) > MOST_ROWS:
                raise UserError(f"{printable(str(path))}: expected at most {MOST_ROWS:,} rows, got more")
    if not rows:
        raise UserError(f"{printable(str(path))}: expected one JSON object a line, got no lines")
    return rows


def plain_json(value: Any) -> Any:
    """A value as JSON gives it back: tuples as lists. TypeError or ValueError for what JSON has not."""
    return json.loads(json.dumps(value, allow_nan=False))


def plain_value(text: str) -> Any:
    """A setting as YAML reads it: a number, true, false, or text."""
    try:
        return parse_yaml(text).values
    except YamlError as error:
        raise UserError(f"expected a value as YAML has it, got {shown(text)}: {error}") from error
