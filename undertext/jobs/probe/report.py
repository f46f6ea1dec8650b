"""How `probe`'s result is shown: tables of the best readings beside controls, heatmaps, transfer."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from undertext.core.printable import shown
from undertext.core.terms import CHOOSE
from undertext.jobs.probe.result import BestReading, ProbeResult
from undertext.report.numbers import NOTHING, brief, number
from undertext.report.page import Section, document, fragment

Row = Mapping[str, Any]
_READ = (
    "Probes are fitted on train; strength and layer are chosen on dev. Each control is at the layer that "
    "reads dev best for that control. Selectivity is the accuracy less that on control labels at the same "
    "layer."
)
_TRANSPORTED = (
    "The probe of one checkpoint is read, unchanged, on the activations of another, at the layer chosen in "
    "its own checkpoint."
)
_ALIGNED = (
    "Aligned: after a rotation fitted without labels on dev. Mispaired: after a rotation fitted to rows of "
    "other problems. Figures are at the layer chosen in the checkpoint that the probe was fitted on."
)
_READ_AT = {
    "layer": "at each layer, by the probe fitted at the chosen layer",
    "position": "at each position",
    "length": "on problems of each number of steps",
    "type": "on problems of each type",
}
_PLACE = ("task", "split", "value", "position", "probe")


def figures(result: ProbeResult) -> dict[str, Figure]:
    """`heatmap-TASK` for each task: layer by position, on test where the task has that split. Of more than
    two checkpoints, `heatmap-TASK-NAME` for each beside the first."""
    drawn = {}
    base, *others = result.summary["checkpoints"]
    for task in result.summary["tasks"]:
        for other in others or [None]:
            name = f"heatmap-{task}" if len(others) < 2 else f"heatmap-{task}-{other}"
            drawn[name] = result.heatmap(task, base=base, tuned=other, split=_splits(result, task)[0])
    return drawn


def summary_html(result: ProbeResult) -> str:
    """The best readings, for notebooks."""
    tasks = list(result.summary["tasks"])
    return fragment(f"probe: {', '.join(tasks)}", _readings(result, tasks))


def lines(result: ProbeResult) -> list[str]:
    """What was read, for a terminal."""
    return [repr(result), *(f"note: {note}" for note in result.summary["notes"])]


def _splits(result: ProbeResult, task: str) -> list[str]:
    """The task's splits in the table: test first, dev last."""
    rows = result.tables["probes"].select(["task", "split"]).to_pylist()
    splits = dict.fromkeys(row["split"] for row in rows if row["task"] == task)
    return sorted(splits, key=lambda split: (split == CHOOSE, split != "test"))


def html(result: ProbeResult, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    tasks = list(result.summary["tasks"])
    sections = []
    for task in tasks:
        sections.append(_readings(result, [task]))
        base, *others = result.summary["checkpoints"]
        for other in others or [None]:
            name = f"heatmap-{task}" if len(others) < 2 else f"heatmap-{task}-{other}"
            pair = base if other is None else f"{base} and {other}"
            own = _highest(result, task, [base] if other is None else [base, other])
            shows = f"Layer by position on {task}, {pair}: accuracy and selectivity. {own}"
            sections.append(Section(f"Layer by position: {task}, {pair}", picture=(pictures[name], shows)))
    if result.transported:
        sections.append(_transported(result))
    sections += _transfer(result)
    if result.summary["notes"]:
        sections.append(Section("Notes", result.summary["notes"]))
    return document(
        f"probe: {', '.join(tasks)}",
        "linear probes beside controls",
        "Which values are read where",
        {name: record["name"] for name, record in result.summary["checkpoints"].items()},
        sections,
        result.run,
    )


def _highest(result: ProbeResult, task: str, checkpoints: Sequence[str]) -> str:
    """The value that is read best on each checkpoint, at the layer chosen on dev."""
    said = []
    for name in checkpoints:
        own = [each for each in result.readings if (each.task, each.checkpoint) == (task, name)]
        if own:
            best = max(own, key=lambda each: each.accuracy)
            where = f"value {brief(best.value)}, position {best.position}, layer {best.layer}"
            said.append(f"{name} {number(best.accuracy)}, selectivity {number(best.selectivity)} ({where})")
    return f"Highest at a layer chosen on dev: {'; '.join(said)}."


def _readings(result: ProbeResult, tasks: Sequence[str]) -> Section:
    readings = [reading for reading in result.readings if reading.task in tasks]
    controls = list(dict.fromkeys(name for reading in readings for name in reading.controls))
    extras = [name for name in ("mdl", "erased") if any(getattr(r, name) is not None for r in readings)]
    head = ["checkpoint", "split", "value", "position", "probe", "layer", "n", "accuracy", "selectivity"]
    head += [*(name.replace("_", " ") for name in controls), "baseline", *extras]
    rows = [_reading(reading, controls, extras) for reading in readings]
    notes = [note for task in tasks for note in _left_out(result.summary["tasks"][task])]
    return Section(f"Readings: {', '.join(tasks)}", [_READ, *notes], head, rows)


def _left_out(task: Mapping[str, Any]) -> list[str]:
    """In how many places each value of a task is not read, and why."""
    counts = (("does not say it", "values_not_said"), ("says it earlier too", "values_said_twice"))
    return [
        f"Value {shown(name)} is not read in {count} places of {task['name']}, where its step {why}."
        for why, key in counts
        for name, count in task[key].items()
    ]


def _reading(reading: BestReading, controls: Sequence[str], extras: Sequence[str]) -> list[str]:
    place = [reading.checkpoint, reading.split, reading.value, reading.position, reading.probe]
    figures_ = [reading.accuracy, reading.selectivity, *(reading.controls.get(name) for name in controls)]
    figures_ += [reading.baseline, *(getattr(reading, name) for name in extras)]
    return [*place, str(reading.layer), str(reading.n), *map(number, figures_)]


def _transported(result: ProbeResult) -> Section:
    own = {(r.checkpoint, *(getattr(r, name) for name in _PLACE)): r.accuracy for r in result.readings}
    rows = []
    for moved in result.transported:
        place = [str(getattr(moved, name)) for name in _PLACE]
        accuracies = [
            moved.accuracy,
            *(own.get((name, *place)) for name in (moved.fitted_on, moved.checkpoint)),
        ]
        rows.append([moved.fitted_on, moved.checkpoint, *place, str(moved.layer), *map(number, accuracies)])
    head = ["fitted on", "read on", *_PLACE, "layer", "transported", "on itself", "the other's own probe"]
    return Section("Transported", [_TRANSPORTED], head, rows)


def _transfer(result: ProbeResult) -> list[Section]:
    """A section for each thing that probes were transferred across, on each task's first split."""
    chosen = {(r.checkpoint, r.task, r.value, r.position, r.probe): r.layer for r in result.readings}
    first = {task: _splits(result, task)[0] for task in result.summary["tasks"]}
    by_across: dict[str, list[Row]] = {}
    for row in result.tables["transfer"].to_pylist():
        if row["split"] == first[row["task"]] and _at_chosen(row, chosen):
            by_across.setdefault(row["across"], []).append(row)
    return [
        _aligned(rows) if across == "checkpoint" else _matrix(across, rows)
        for across, rows in by_across.items()
    ]


def _at_chosen(row: Row, chosen: Mapping[Any, int]) -> bool:
    """Whether a figure is at the layer chosen for the probe where the probe was fitted."""
    across = row["across"]
    checkpoint = row["fitted"] if across == "checkpoint" else row["checkpoint"]
    position = row["fitted"] if across == "position" else row["position"]
    layer = chosen.get((checkpoint, row["task"], row["value"], position, row["probe"]))
    if across == "layer":
        return bool(row["fitted"] == str(layer))
    return layer is not None and row["layer"] in (None, layer)  # features of the text have no layer


def _aligned(rows: Sequence[Row]) -> Section:
    shared = ("fitted", "read", "task", "value", "position", "probe", "layer")
    measures = ("accuracy", "shifted", "aligned", "mispaired")
    return _pivoted("Transfer across checkpoints", _ALIGNED, rows, shared, "measure", measures)


def _matrix(across: str, rows: Sequence[Row]) -> Section:
    names = ("checkpoint", "task", "value", "position", "probe", "measure", "fitted")
    shared = [name for name in names if any(row[name] is not None for row in rows)]
    reads = sorted({row["read"] for row in rows}, key=_order)
    line = f"Share read right {_READ_AT[across]}."
    return _pivoted(f"Transfer across {across}s", line, rows, shared, "read", reads)


def _order(name: str) -> tuple[bool, int, str]:
    """Words first, then numbers by size."""
    digits = name.removeprefix("-").isdigit()
    return (digits, int(name) if digits else 0, name)


def _pivoted(
    title: str, line: str, rows: Sequence[Row], shared: Sequence[str], along: str, columns: Sequence[str]
) -> Section:
    """A line for each combination of `shared`, a column for each of `columns` (values of `along`)."""
    cells: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        cells.setdefault(tuple(row[name] for name in shared), {})[row[along]] = row["figure"]
    body = [
        [*(NOTHING if part is None else str(part) for part in key), *(number(each.get(c)) for c in columns)]
        for key, each in cells.items()
    ]
    return Section(title, [line], [*shared, *columns], body)
