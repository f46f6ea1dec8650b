"""Tasks from what people have: logs of lm-eval and inspect, data sets, reasoning-gym, JSONL files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from undertext.tasks.importers.dataset import KINDS, dataset_rows
from undertext.tasks.importers.inspect_log import inspect_source
from undertext.tasks.importers.lm_eval import lm_eval_source
from undertext.tasks.importers.reasoning_gym import reasoning_gym_source
from undertext.tasks.importers.rows import Columns, Format, rows_source
from undertext.tasks.importers.solutions import Marks
from undertext.tasks.importers.source import ImportConfig, Imported, make_task, read_lines

__all__ = [
    "Columns",
    "ImportConfig",
    "Imported",
    "from_columns",
    "from_dataset",
    "from_gsm8k_rows",
    "from_inspect",
    "from_jsonl",
    "from_lm_eval",
    "from_math_rows",
    "from_reasoning_gym",
]

Rows = Iterable[Mapping[str, Any]]


def from_gsm8k_rows(
    rows: Rows, config: ImportConfig | None = None, *, name: str = "gsm8k", marks: Marks = "drop"
) -> Imported:
    """Rows with `question` and `answer` as GSM8K has them; see `Imported` for what comes back."""
    return make_task(rows_source(_placed(rows), "gsm8k", name=name, marks=marks), config)


def from_math_rows(rows: Rows, config: ImportConfig | None = None, *, name: str = "math") -> Imported:
    """Rows with `problem`, `solution`, `type` and `level` as MATH has them."""
    return make_task(rows_source(_placed(rows), "math", name=name), config)


def from_columns(
    rows: Rows, columns: Columns, config: ImportConfig | None = None, *, name: str = "problems"
) -> Imported:
    """Rows of any form, by a map from a problem's fields to columns."""
    return make_task(rows_source(_placed(rows), "columns", columns, name=name), config)


def from_jsonl(
    file: str | Path, columns: Columns, config: ImportConfig | None = None, *, marks: Marks = "drop"
) -> Imported:
    """A JSONL file, by a map from a problem's fields to columns."""
    path = Path(file)
    rows = ((place, row, None) for place, row in read_lines(path))
    return make_task(rows_source(rows, "columns", columns, name=path.stem, marks=marks), config)


def from_dataset(
    source: str | Path,
    config: ImportConfig | None = None,
    *,
    format: Format = "columns",
    columns: Columns | None = None,
    subset: str | None = None,
    split: str | None = None,
    marks: Marks = "drop",
) -> Imported:
    """A Hugging Face data set: a folder or a hub id (see `dataset_rows`)."""
    rows, path = dataset_rows(str(source), subset, split), Path(source)
    name = path.stem if path.suffix in KINDS else path.name
    return make_task(rows_source(rows, format, columns, name=name, marks=marks), config)


def from_lm_eval(log: str | Path, config: ImportConfig | None = None) -> Imported:
    """What lm-evaluation-harness wrote with `--log_samples`: a file, or a folder that holds one."""
    return make_task(lm_eval_source(log), config)


def from_inspect(log: str | Path, config: ImportConfig | None = None) -> Imported:
    """A log of inspect, `.eval` or `.json`."""
    return make_task(inspect_source(log), config)


def from_reasoning_gym(
    name: str, size: int, config: ImportConfig | None = None, *, options: Mapping[str, Any] | None = None
) -> Imported:
    """`size` problems of a generator of reasoning-gym, from the config's seed."""
    return make_task(reasoning_gym_source(name, size, (config or ImportConfig()).seed, options), config)


def _placed(rows: Rows) -> Iterable[tuple[str, Mapping[str, Any], None]]:
    return ((f"row {i}", row, None) for i, row in enumerate(rows))
