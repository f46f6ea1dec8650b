"""`undertext task from`: a task's folder from a log, a data set, a generator or a JSONL file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.printable import printable, shown
from undertext.tasks import importers
from undertext.tasks.importers import Columns, ImportConfig, Imported
from undertext.tasks.importers.rows import Format
from undertext.tasks.importers.solutions import Marks
from undertext.tasks.importers.source import plain_value
from undertext.tasks.write import write_task


class LmEvalCommand(ImportConfig):
    """Write a task from what lm-evaluation-harness wrote with --log_samples: a file samples_TASK_DATE.jsonl,
    or a folder that holds one. The logged model's outputs are written beside the task, as outputs.jsonl."""


class InspectCommand(ImportConfig):
    """Write a task from a log of inspect, .eval or .json. The logged model's outputs are written beside the
    task, as outputs.jsonl."""


class DatasetCommand(ImportConfig):
    """Write a task from a Hugging Face data set: a folder or file of parquet, JSON, CSV or Arrow, what
    save_to_disk wrote, or a hub id."""

    format: Format | None = None
    """Form of the rows: gsm8k (question, answer), math (problem, solution) or columns. Without one, the
    name of the data set or --columns decides."""
    columns: str | None = None
    """Columns of any other data set by field, such as prompt=question,answer=target. The fields prompt
    and answer are needed; id, trace, type, group, split and values.NAME are optional."""
    subset: str | None = None
    """Configuration of a hub id, such as main."""
    split: str | None = None
    """Split to read. Without one, all splits are read and keep their names."""
    marks: Marks = "drop"
    """Whether calculator marks such as <<2+3=5>> are kept in the traces. The values come from the marks
    either way."""


class JsonlCommand(ImportConfig):
    """Write a task from a JSONL file by a map of columns."""

    columns: str | None = None
    """Columns by field, such as prompt=question,answer=target. The fields prompt and answer are needed;
    id, trace, type, group, split and values.NAME are optional."""
    marks: Marks = "drop"
    """Whether calculator marks such as <<2+3=5>> are kept in the traces. The values come from the marks
    either way."""


class ReasoningGymCommand(ImportConfig):
    """Write a task from a generator of reasoning-gym, graded by the generator's own scorer."""

    size: int = Field(default=1000, ge=3, le=100_000)
    """Number of problems to make."""
    options: dict[str, str] = Field(default_factory=dict)
    """Settings of the generator by name, such as max_terms 6."""


class Kind(NamedTuple):
    """A kind of source: its config, what it is given, and its importer."""

    config: type[ImportConfig]
    given: str
    importer: Any


def _lm_eval(given: str, config: Any) -> Imported:
    return importers.from_lm_eval(given, config)


def _inspect(given: str, config: Any) -> Imported:
    return importers.from_inspect(given, config)


def _dataset(given: str, config: Any) -> Imported:
    name = Path(given).name.casefold()
    named: Format | None = "gsm8k" if "gsm8k" in name else "math" if "math" in name else None
    format: Format | None = config.format or ("columns" if config.columns is not None else named)
    if format is None or (format == "columns") != (config.columns is not None):
        wanted = "expected --format gsm8k, --format math or --columns prompt=COLUMN,answer=COLUMN"
        raise UserError(
            f"{wanted}, got {'both' if config.columns else 'no columns' if format else 'neither'}"
        )
    return importers.from_dataset(
        given,
        config,
        format=format,
        columns=None if config.columns is None else Columns.from_text(config.columns),
        subset=config.subset,
        split=config.split,
        marks=config.marks,
    )


def _jsonl(given: str, config: Any) -> Imported:
    return importers.from_jsonl(given, Columns.from_text(config.columns), config, marks=config.marks)


def _reasoning_gym(given: str, config: Any) -> Imported:
    options = {name: plain_value(text) for name, text in config.options.items()}
    return importers.from_reasoning_gym(given, config.size, config, options=options)


KINDS = {
    "lm-eval": Kind(LmEvalCommand, "FILE|DIR", _lm_eval),
    "inspect": Kind(InspectCommand, "LOG", _inspect),
    "dataset": Kind(DatasetCommand, "PATH_OR_ID", _dataset),
    "reasoning-gym": Kind(ReasoningGymCommand, "NAME", _reasoning_gym),
    "jsonl": Kind(JsonlCommand, "FILE", _jsonl),
}
OUTPUTS = "outputs.jsonl"
ABOUT = "`--config FILE` reads any of these options from a YAML file, and flags override the file."


def run(args: Sequence[str]) -> int:
    """Run `undertext task from` with these arguments."""
    name, *rest = args or [""]
    if name in ("-h", "--help"):
        say("usage: undertext task from KIND SOURCE --out DIR [OPTIONS]   (with --help a kind says more)\n")
        for known, kind in KINDS.items():
            say(f"  {known:<14} {kind.given}")
        return 0
    if name not in KINDS:
        raise UserError(
            f"expected undertext task from {'|'.join(KINDS)}, got {shown(name) if name else 'nothing'}"
        )
    kind, asked = KINDS[name], {"-h", "--help"} & set(rest)
    given = rest.pop(0) if rest and not rest[0].startswith("-") else None
    needs = ("out", "columns") if name == "jsonl" else ("out",)
    config: Any = parse(kind.config, f"task from {name} {kind.given}", rest, needs, ABOUT)
    if given is None and not asked:
        raise UserError(f"expected undertext task from {name} {kind.given} --out DIR, got no {kind.given}")
    imported = kind.importer(given, config)
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in imported.outputs)
    write_task(imported.task, config.out, beside={OUTPUTS: lines.encode()} if lines else {})
    counts = ", ".join(f"{split} {len(imported.task.split(split))}" for split in imported.task.splits)
    say(f"{printable(str(config.out))}: {len(imported.task.problems)} problems ({counts})")
    if lines:
        say(f"{printable(str(config.out / OUTPUTS))}: {len(imported.outputs)} outputs of the logged model")
    for note in imported.notes:
        say(f"note: {note}")
    return 0
