"""The files of a run: verdict.json, report.html, run.json, figures/ and tables/."""

from pathlib import Path

from undertext.core.output import PAGE, RUN, check_writable, encoded, json_bytes, parquet, publish
from undertext.jobs.compare.result import Comparison
from undertext.report.figures.accuracy import figures
from undertext.report.page import page
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
