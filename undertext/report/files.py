"""The files that every job writes: result.json, run.json, report.html, tables/ and figures/."""

from typing import Any

from undertext.core.output import FIGURES, PAGE, RUN, TABLES, encoded, json_bytes, parquet
from undertext.core.result import ID, Result
from undertext.report.style import pdf, png, svg


def report_files(result: Result, report: Any) -> dict[str, bytes]:
    """A run's files by path; `report` is the module that draws the result's figures and writes its page.

    The same result gives the same bytes. Each file but the pictures holds the id of the run, which
    `result.run` has. run.json lists the files, so that the next run into the same folder can clear what is
    no longer made.
    """
    run, drawn = result.run[ID], report.figures(result)
    pictures = {name: svg(figure) for name, figure in drawn.items()}
    files = {
        PAGE: encoded(report.html(result, pictures)),
        result.FILE: json_bytes({ID: run, **result.summary}),
    }
    for name, figure in drawn.items():
        files[f"{FIGURES}/{name}.svg"] = pictures[name]
        files[f"{FIGURES}/{name}.png"] = png(figure)
        files[f"{FIGURES}/{name}.pdf"] = pdf(figure)
    files |= {f"{TABLES}/{name}.parquet": parquet(table, run) for name, table in result.tables.items()}
    files[RUN] = json_bytes({**result.run, "files": sorted([*files, RUN])})
    return files
