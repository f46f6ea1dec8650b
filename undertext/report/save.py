"""The files of a run: verdict.json, report.html, run.json, figures/ and tables/."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from undertext.comparison import Comparison
from undertext.report.figures import figures
from undertext.report.html import page
from undertext.report.publish import PAGE, RUN, check_writable, publish
from undertext.report.style import png, svg

__all__ = ["check_writable", "render", "save"]


def save(comparison: Comparison, out: Path) -> Path:
    """Write the run under `out` and return `out`; see `publish` for what happens to what is there.

    Raises UserError where `out` cannot be written. `check_writable` says so before any long work.
    """
    return publish(render(comparison), out)


def render(comparison: Comparison) -> dict[str, bytes]:
    """The run's files by path. The same comparison gives the same bytes."""
    drawn = figures(comparison)
    svgs = {name: svg(figure) for name, figure in drawn.items()}
    files = {PAGE: encoded(page(comparison, svgs))}
    files |= {f"figures/{name}.svg": data for name, data in svgs.items()}
    files |= {f"figures/{name}.png": png(figure) for name, figure in drawn.items()}
    files |= {f"tables/{name}.parquet": parquet(table) for name, table in comparison.tables.items()}
    files["verdict.json"] = json_bytes(comparison.to_dict())
    files[RUN] = json_bytes(
        {
            "seed": comparison.seed,
            "elapsed_s": comparison.elapsed_s,
            "base": comparison.base,
            "tuned": comparison.tuned,
            "task": comparison.task,
            **comparison.run,
            "files": sorted([*files, RUN]),
        }
    )
    return files


def parquet(table: pa.Table) -> bytes:
    """The table as a parquet file."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return bytes(buffer.getvalue())


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """`values` as JSON; what is no finite number becomes null, what JSON has no form for its text."""
    text = json.dumps(_plain(values), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    return encoded(text + "\n")


def encoded(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which a path can hold, becomes its escape."""
    return text.encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(part) for part in value]
    return value
