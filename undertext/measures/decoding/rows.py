"""The two tables of a probing job; docs/probes.md says what each column holds."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

Row = dict[str, Any]

SCHEMA = pa.schema(
    [
        ("checkpoint", pa.string()),
        ("fitted_on", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("value", pa.string()),
        ("classes", pa.int64()),
        ("layer", pa.int64()),
        ("hook", pa.string()),
        ("position", pa.string()),
        ("probe", pa.string()),
        ("control", pa.string()),
        ("n", pa.int64()),
        ("accuracy", pa.float64()),
        ("selectivity", pa.float64()),
        ("baseline", pa.float64()),
        ("strength", pa.float64()),
        ("chosen", pa.bool_()),
        ("seed", pa.int64()),
    ]
)
"""Of readings: a row each."""
TRANSFER = pa.schema(
    [
        ("across", pa.string()),
        ("fitted", pa.string()),
        ("read", pa.string()),
        ("measure", pa.string()),
        ("figure", pa.float64()),
        ("n", pa.int64()),
        ("checkpoint", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("value", pa.string()),
        ("layer", pa.int64()),
        ("position", pa.string()),
        ("probe", pa.string()),
        ("seed", pa.int64()),
    ]
)
"""Of what is carried from one place to another: a row for each figure."""


def table_of(rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> pa.Table:
    """The rows as a table; a KeyError for a row that lacks a column."""
    return pa.table({name: [row[name] for row in rows] for name in schema.names}, schema=schema)
