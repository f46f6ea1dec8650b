"""Figure: how well values are read where they are about to be said, layer by step or layer by value."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from undertext.core.terms import OTHER, Role
from undertext.report.figures.heatmap import MOST_WRITTEN, PROMPT_END, Panel, drawn
from undertext.report.numbers import NOTHING, brief, number
from undertext.report.style import WIDE, house_style, literal

MOST = 10
"""Steps or values that have a column; a title says how many more there are."""
MOST_NUMBERED = 4
"""Columns whose cells have room for a number that can be read on a phone."""
Across = Literal["step", "name"]
"""What columns are: steps, or values by name."""
Row = Mapping[str, Any]


class _Grid(NamedTuple):
    """The heatmaps of one split."""

    panels: list[Panel]
    layers: list[int]
    columns: list[Any]
    """Steps or names, those without a column among them."""


def read_at_figure(rows: Sequence[Row], split: str, across: Across) -> Figure | None:
    """Heatmaps of one split: base, tuned, the stronger's probes on the weaker, the weaker's selectivity.

    `rows` are those of `compare`'s table `positions`, or for `name` of its table `probes`. A cell is the mean
    over its rows, each weighted by how many readings it is of (`n`); NaN, drawn hatched, where there is none.
    Selectivity is accuracy less that on control labels (Hewitt and Liang 2019). None without rows.
    """
    if not rows:
        return None
    grid = _grid(rows, across)
    shown = grid.columns[:MOST]
    what = "steps" if across == "step" else "values"
    title = split if shown == grid.columns else f"{split}: the first {MOST} of {len(grid.columns)} {what}"
    names = [_place(step) if across == "step" else literal(step, 14) for step in shown]
    along = "step that is about to say the value" if across == "step" else "value"
    most = MOST_WRITTEN if len(shown) <= MOST_NUMBERED else 0
    with house_style():
        return drawn(grid.panels, grid.layers, names, title, along, width=WIDE, size=10.0, most=most)


def read_at_said(rows: Sequence[Row], split: str, across: Across) -> str:
    """What the same figure shows, in words: where each panel is highest; which steps were not measured."""
    grid, said = _grid(rows, across), []
    for panel in grid.panels:
        if np.isnan(panel.cells).all():
            continue
        i, j = np.unravel_index(np.nanargmax(panel.cells), panel.cells.shape)
        column = said_step(grid.columns[j]) if across == "step" else f"value {brief(grid.columns[j])}"
        said.append(f"{panel.title} {number(float(panel.cells[i, j]))} (layer {grid.layers[i]}, {column})")
    missing = unmeasured_steps(rows) if across == "step" else []
    more = f" Not measured: {', '.join(map(said_step, missing))}." if missing else ""
    return f"Highest on {brief(split)}: {'; '.join(said)}.{more}"


def read_at_table(rows: Sequence[Row]) -> list[list[str]]:
    """A row a step of one split's `positions`: the step, the number of readings, and what each panel shows at
    the layer chosen on dev, with that layer."""
    weaker = _weaker(rows)
    table = []
    for step in steps_of(rows):
        at = [row for row in rows if row["step"] == step and row["chosen"]]
        by_role = {role: [row for row in at if row["role"] == role] for role in ("weaker", "stronger")}
        own = {weaker: by_role["weaker"], OTHER[weaker]: by_role["stronger"]}
        moved = [row for row in at if row["role"] == "transported"]
        cells = [_at_chosen(own["base"]), _at_chosen(own["tuned"]), _at_chosen(moved)]
        cells.append(_at_chosen(by_role["weaker"], less=True))
        table.append([said_step(step), f"{sum(row['n'] for row in by_role['weaker']):,}", *cells])
    return table


def steps_of(rows: Sequence[Row]) -> list[int]:
    """Steps from the first to the last that has readings; 0, the prompt's end, where it has some."""
    read = {row["step"] for row in rows}
    return [*([0] if 0 in read else []), *range(1, max(read, default=0) + 1)]


def unmeasured_steps(rows: Sequence[Row]) -> list[int]:
    """Those of `steps_of` at which no value is read."""
    read = {row["step"] for row in rows}
    return [step for step in steps_of(rows) if step not in read]


def said_step(step: int) -> str:
    """A step in words."""
    return f"step {step}" if step else "the prompt's end"


def _place(step: int) -> str:
    return str(step) if step else PROMPT_END


def _weaker(rows: Sequence[Row]) -> Role:
    role: Role = next((row["checkpoint"] for row in rows if row["role"] == "weaker"), "base")
    return role


def _at_chosen(rows: Sequence[Row], *, less: bool = False) -> str:
    """The mean at the layers chosen on dev, and these layers."""
    if not rows:
        return NOTHING
    layers = sorted({row["layer"] for row in rows})
    where = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}"
    return f"{number(_mean(rows, less=less))} ({where})"


def _mean(rows: Sequence[Row], *, less: bool) -> float:
    """Mean accuracy over readings, less that on control labels where it is asked for; NaN of none."""
    told = [row for row in rows if not less or row["control"] is not None]
    if not told:
        return float("nan")
    values = [row["accuracy"] - (row["control"] if less else 0.0) for row in told]
    return float(np.average(values, weights=[row["n"] for row in told]))


def _grid(rows: Sequence[Row], across: Across) -> _Grid:
    columns = steps_of(rows) if across == "step" else list(dict.fromkeys(str(row["name"]) for row in rows))
    shown, layers = columns[:MOST], sorted({row["layer"] for row in rows})
    weaker = _weaker(rows)
    by_cell: dict[tuple[str, int, Any], list[Row]] = {}
    for row in rows:
        by_cell.setdefault((row["role"], row["layer"], row[across]), []).append(row)

    def cells(role: str, *, less: bool = False) -> Float[ndarray, "layer column"]:
        found = [
            [_mean(by_cell.get((role, layer, column), []), less=less) for column in shown] for layer in layers
        ]
        return np.array(found, dtype=float).reshape(len(layers), len(shown))

    roles = {weaker: "weaker", OTHER[weaker]: "stronger"}
    panels = [Panel("base", cells(roles["base"]), False), Panel("tuned", cells(roles["tuned"]), False)]
    if any(row["role"] == "transported" for row in rows):
        panels.append(Panel(f"{OTHER[weaker]}'s probes on {weaker}", cells("transported"), False))
    panels.append(Panel(f"selectivity, {weaker}", cells("weaker", less=True), True))
    return _Grid(panels, layers, columns)
