"""Figure: accuracy on dev by dose, beside controls under the same search."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.report.numbers import brief, number
from undertext.report.style import (
    CONTROL_LOOKS,
    GREY,
    LOOKS,
    WIDE,
    End,
    house_style,
    label_ends,
    literal,
    stacked,
)

_DASHES = {
    "random directions": "-",
    "shuffled labels": ":",
    "random positions": "-.",
    "random features": "--",
}
"""How the mean of each kind of control is drawn."""

_HEIGHT = 3.0
"""Inches: room for the names of eleven lines."""
Row = Mapping[str, Any]
Doses = dict[float, tuple[int, float]]
"""By dose, the number of problems it was tried on, and the accuracy on them."""


def doses_figure(sweep: Sequence[Row]) -> Figure | None:
    """Lenient accuracy by dose, a line a vector, of the rows of the table `sweep`: at each dose of the layer
    and position that were tried on most problems, the best of them.

    None where nothing was steered.
    """
    if not sweep:
        return None
    vectors = _best(row for row in sweep if row["control"] is None)
    ranked = sorted(vectors, key=lambda name: max(vectors[name].values()), reverse=True)
    bands = {kind: _best(row for row in sweep if row["control"] == kind) for kind in _DASHES}
    with house_style():
        figure, (panel,) = stacked([_HEIGHT], WIDE)
        ends = [end for kind, controls in bands.items() for end in _band(panel, kind, controls)]
        for name in ranked[len(LOOKS) :]:
            others = f"{len(ranked) - len(LOOKS)} other vectors, none better" if name == ranked[-1] else None
            at, accuracies = _line(vectors[name])
            panel.plot(at, accuracies, color=GREY, linewidth=0.8, label=others)
            if others:
                ends.append(End(accuracies[-1], f"{len(ranked) - len(LOOKS)} other vectors", GREY))
        shown = [name for name in vectors if name in ranked[: len(LOOKS)]]  # in the table's order
        for place, (look, name) in enumerate(zip(LOOKS, shown, strict=False)):
            at, accuracies = _line(vectors[name])
            panel.plot(at, accuracies, **look.line(place, len(shown)), label=literal(name))
            ends.append(End(accuracies[-1], name, look.color))
        _dose_axis(panel, sorted({row["dose"] for row in sweep}))
        panel.set_ylim(-0.03, 1.03)
        panel.set_ylabel("accuracy on dev")
        label_ends(panel, ends, _HEIGHT)
    return figure


def doses_said(sweep: Sequence[Row]) -> str:
    """What the same figure shows, in words: the best dose of each vector that is named, and of the best
    control of each kind."""
    vectors = _best(row for row in sweep if row["control"] is None)
    tops = {name: _top(doses) for name, doses in vectors.items()}
    ranked = sorted(tops, key=lambda name: tops[name], reverse=True)
    said = [f"{brief(name)} {_at(tops[name])}" for name in ranked[: len(LOOKS)]]
    if len(ranked) > len(LOOKS):
        said.append(f"{len(ranked) - len(LOOKS)} other vectors, none better")
    for kind in _DASHES:
        controls = _best(row for row in sweep if row["control"] == kind)
        if controls:
            said.append(f"{kind} (best of {len(controls)}) {_at(max(map(_top, controls.values())))}")
    return f"Best accuracy on dev: {'; '.join(said)}."


def _top(doses: Doses) -> tuple[int, float, float]:
    """Of the doses that were tried on most problems the best: their number, the accuracy, the dose."""
    dose = max(sorted(doses), key=doses.__getitem__)
    return (*doses[dose], dose)


def _at(top: tuple[int, float, float]) -> str:
    problems, accuracy, dose = top
    return f"{number(accuracy)} at dose {dose:g} ({problems} problems)"


def _best(sweep: Iterable[Row]) -> dict[str, Doses]:
    """By vector, and by dose over layers and positions, the best of those tried on most problems."""
    best: dict[str, Doses] = defaultdict(dict)
    for row in sweep:
        doses, found = best[str(row["vector"])], (row["problems"], row["lenient"])
        # Halving gives most settings a few problems, on which some are right by luck.
        doses[row["dose"]] = max(found, doses.get(row["dose"], found))
    return dict(best)


def _line(doses: Doses) -> tuple[list[float], list[float]]:
    return sorted(doses), [doses[dose][1] for dose in sorted(doses)]


def _band(panel: Axes, kind: str, controls: dict[str, Doses]) -> list[End]:
    """The range of the lines of all controls of a kind, and their mean, which is named where it ends."""
    by_dose: dict[float, list[float]] = defaultdict(list)
    for doses in controls.values():
        for dose, (_, accuracy) in doses.items():
            by_dose[dose].append(accuracy)
    if not by_dose:
        return []
    at, look, dashes = sorted(by_dose), CONTROL_LOOKS[kind], _DASHES[kind]
    lows, highs = [min(by_dose[dose]) for dose in at], [max(by_dose[dose]) for dose in at]
    panel.fill_between(at, lows, highs, label=f"{len(controls)} {kind} (least to most)", **look)
    means = [fmean(by_dose[dose]) for dose in at]
    panel.plot(at, means, color=GREY, linewidth=1.2, linestyle=dashes, label=f"mean of {kind}")
    return [End(means[-1], f"{len(controls)} {kind}", GREY)]


def _dose_axis(panel: Axes, doses: list[float]) -> None:
    """Ticks at the doses tried; logarithmic where they are above zero and span a factor of eight."""
    if doses[0] > 0 and doses[-1] >= 8 * doses[0]:
        panel.set_xscale("log")
    step = -(-len(doses) // 9)
    panel.set_xticks(doses[::step], [f"{dose:g}" for dose in doses[::step]])
    panel.minorticks_off()
    panel.set_xlabel("dose, in mean residual norms")
