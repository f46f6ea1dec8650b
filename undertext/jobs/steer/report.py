"""The files of a steering job: steering.json, run.json, the dose-response figure and the tables."""

from pathlib import Path

from matplotlib.figure import Figure

from undertext.core.output import RUN, json_bytes, parquet, publish
from undertext.jobs.steer.job import Steered
from undertext.report.figures.doses import doses_figure
from undertext.report.style import house_style, png, svg


def save(steered: Steered, out: Path) -> Path:
    """Write the files under `out` and return it; see `publish` for what happens to what is there."""
    drawn = figure(steered)
    files = {"figures/doses.svg": svg(drawn), "figures/doses.png": png(drawn)}
    files |= {f"tables/{name}.parquet": parquet(table) for name, table in steered.tables.items()}
    files["steering.json"] = json_bytes(steered.to_dict())
    files[RUN] = json_bytes({**steered.run, "files": sorted([*files, RUN])})
    return publish(files, out)


def figure(steered: Steered) -> Figure:
    """Dose-response on dev, each kind of control as a band."""
    with house_style():
        drawn = doses_figure(steered.tables["sweep"].to_pylist())
    assert drawn is not None
    return drawn
