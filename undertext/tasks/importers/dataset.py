"""Rows of a Hugging Face data set: a folder or a hub id, read by the package datasets."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError
from undertext.activations.files import one_line
from undertext.activations.quiet import quiet
from undertext.core.printable import printable
from undertext.tasks.importers.source import MOST_ROWS

KINDS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".arrow": "arrow"}
SAVED = ("dataset_dict.json", "state.json")
"""Files that `save_to_disk` leaves in a folder."""


def dataset_rows(
    source: str, subset: str | None = None, split: str | None = None
) -> list[tuple[str, Mapping[str, Any], str | None]]:
    """The rows of a data set, each with its place and, in a data set of several splits, its split.

    `source` is a folder that `save_to_disk` wrote, a folder or file of parquet, JSON, CSV or Arrow, or a hub
    id; `subset` is a configuration of a hub id, and `split` names one split to read. No code of a data set is
    run. Raises UserError where no rows can be had.
    """
    import datasets  # takes a second

    shown = printable(source, 200)
    try:
        with tempfile.TemporaryDirectory() as scratch, quiet(), _silent(datasets):
            found = _loaded(datasets, Path(source), source, subset, scratch)
            parts = dict(found) if isinstance(found, Mapping) else {"": found}
            if split is not None and split not in parts:
                raise UserError(
                    f"{shown}: expected one of the splits {', '.join(parts)}, got {printable(split)}"
                )
            parts = parts if split is None else {split: parts[split]}
            if sum(map(len, parts.values())) > MOST_ROWS:
                raise UserError(f"{shown}: expected at most {MOST_ROWS:,} rows, got more: name one --split")
            several = len(parts) > 1
            return [
                (f"{printable(name)} row {i} of {len(part)}".lstrip(), row, name if several else None)
                for name, part in parts.items()
                for i, row in enumerate(part, 1)
            ]
    except UserError:
        raise
    except Exception as error:  # whatever datasets, pyarrow or the network raise
        why = _bad_line(Path(source)) or one_line(error)
        raise UserError(f"{shown}: no data set could be read: {why}") from error


def _bad_line(path: Path) -> str | None:
    """The first line of a JSONL file, or of those in a folder, that is none: the reader of data sets says the
    row of a block at most. None where all lines can be read."""
    files = [path] if path.suffix == ".jsonl" else sorted(path.rglob("*.jsonl")) if path.is_dir() else []
    for file in files:
        with suppress(OSError), open(file, encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    if line.strip() and not isinstance(json.loads(line.rstrip("\r\n")), dict):
                        return f"{printable(str(file))}:{number}: expected a JSON object, got other JSON"
                except json.JSONDecodeError as error:
                    return f"{printable(str(file))}:{number}: no JSON: {error.msg} (character {error.colno})"
    return None


@contextmanager
def _silent(datasets: Any) -> Iterator[None]:
    off, verbosity = datasets.utils.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.utils.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # the error says what went wrong
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if not off:
            datasets.utils.enable_progress_bars()


def _loaded(datasets: Any, path: Path, source: str, subset: str | None, scratch: str) -> Any:
    if not os.path.exists(path):
        if path.suffix in KINDS or source.startswith((".", "~", "/")) or source.count("/") > 1:
            raise UserError(f"{printable(source)}: there is no such file or folder")  # nor an id of the hub
        return datasets.load_dataset(source, subset)
    if any((path / name).is_file() for name in SAVED):
        return datasets.load_from_disk(str(path), keep_in_memory=True)
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.suffix in KINDS)
    kinds = {KINDS.get(each.suffix) for each in files}
    if len(kinds) != 1 or None in kinds:
        got = ", ".join(sorted({each.suffix for each in files})) or "no such files"
        raise UserError(f"{printable(source)}: expected files of one kind ({', '.join(KINDS)}), got {got}")
    (kind,) = kinds
    given = {"data_files": [str(path)]} if path.is_file() else {"data_dir": str(path)}
    return datasets.load_dataset(kind, **given, cache_dir=scratch, keep_in_memory=True)
