"""The one table of a probing job."""

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
"""docs/probes.md says what each column holds."""


def table_of(rows: list[Row]) -> pa.Table:
    """The rows as a table; a KeyError for a row that lacks a column."""
    return pa.table({name: [row[name] for row in rows] for name in SCHEMA.names}, schema=SCHEMA)
