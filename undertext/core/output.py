"""A run's files: their names, and their contents as bytes."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PAGE = "report.html"
RUN = "run.json"
"""Lists the run's files under `files`, so that the next run into the same folder can clear them."""
RESULT, VERDICT = "result.json", "verdict.json"
"""What a job found; `compare` calls it verdict.json."""
LAST = (RUN, RESULT, VERDICT)
"""Put in place last, in this order: who finds result.json or verdict.json finds all the rest."""
FIGURES, TABLES = "figures", "tables"
OURS = (FIGURES, TABLES)
"""Folders of a run in which files of an earlier run are cleared."""
RUN_KEY = b"undertext.run"
"""In a parquet file's metadata: the id of the run that the table is of."""


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """`values` as JSON; a number that is not finite becomes null, and what JSON has no form for its text."""
    text = json.dumps(plain(values), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    return encoded(text + "\n")


def json_rows(values: Mapping[str, Any]) -> bytes:
    """The same with a line for each entry of every dict and list in `values`: many rows take less room, and a
    row that changes is one line of a difference."""

    def written(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)

    parts = []
    for name, value in plain(values).items():
        text = written(value)
        if isinstance(value, dict) and value:
            rows = ",\n".join(f"  {written(key)}: {written(each)}" for key, each in value.items())
            text = f"{{\n{rows}\n }}"
        elif isinstance(value, list) and value:
            text = "[\n" + ",\n".join(f"  {written(each)}" for each in value) + "\n ]"
        parts.append(f" {written(name)}: {text}")
    return encoded("{\n" + ",\n".join(parts) + "\n}\n")


def plain(value: Any) -> Any:
    """`value` as JSON has it: keys that are text, lists, and null for a number that is not finite."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(part) for part in value]
    return value


def encoded(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which a path can hold, becomes its escape."""
    return text.encode("utf-8", "backslashreplace")


def parquet(table: pa.Table, run: str | None = None) -> bytes:
    """The table as a parquet file; `run` is the id of the run that it is of."""
    others = {key: value for key, value in (table.schema.metadata or {}).items() if key != RUN_KEY}
    marked = others if run is None else {**others, RUN_KEY: run.encode()}
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(marked or None), buffer)
    return bytes(buffer.getvalue())
