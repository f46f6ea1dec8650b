"""The files that every job writes: result.json, run.json, report.html, tables/ and figures/."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from matplotlib.figure import Figure

from undertext.core.output import FIGURES, PAGE, RESULT, RUN, TABLES, encoded, json_bytes, parquet
from undertext.report.style import png, svg


def report_files(
    *,
    summary: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    run: Mapping[str, Any],
    figures: Mapping[str, Figure],
    page: str,
    name: str = RESULT,
) -> dict[str, bytes]:
    """A run's files by path; `name` is that of the file which holds `summary`.

    The same values give the same bytes. run.json lists the files, so that the next run into the same folder
    can clear what is no longer made.
    """
    files = {PAGE: encoded(page), name: json_bytes(summary)}
    for figure in figures:
        files[f"{FIGURES}/{figure}.svg"] = svg(figures[figure])
        files[f"{FIGURES}/{figure}.png"] = png(figures[figure])
    files |= {f"{TABLES}/{table}.parquet": parquet(tables[table]) for table in tables}
    files[RUN] = json_bytes({**run, "files": sorted([*files, RUN])})
    return files
