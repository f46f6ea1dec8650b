"""Figure: how well values are read from activations, by layer."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.report.numbers import brief, number
from undertext.report.style import (
    BAND,
    BLUE,
    GREY,
    VERMILLION,
    WIDE,
    WINE,
    End,
    Look,
    house_style,
    label_ends,
    literal,
    stacked,
)

Row = Mapping[str, Any]

_HEIGHT = 2.5
"""Inches of a panel: room for the names of seven lines."""
_ROLES = {
    "stronger": ("stronger", Look(VERMILLION, "s")),
    "weaker": ("weaker", Look(BLUE, "o", "--")),
    "transported": ("transported", Look(WINE, "^", ":")),
}
_FLOORS = {
    "surface": ("surface", ":"),
    "window": ("last tokens", "-."),
    "random_init": ("untrained", (0, (5, 2))),
}


def probes_figure(splits: Mapping[str, Sequence[Row]]) -> Figure | None:
    """Probe accuracy by layer, the mean over the values read; a panel a split, of the rows of the table
    `probes`.

    None without any split.
    """
    if not splits:
        return None
    with house_style():
        figure, axes = stacked([_HEIGHT] * len(splits), WIDE)
        for panel, (split, probes) in zip(axes, splits.items(), strict=True):
            _draw(panel, probes)
            names = sorted({str(row["name"]) for row in probes})
            read = names[0] if len(names) == 1 else f"mean of {len(names)} values"
            panel.set_title(f"{literal(split, 24)}: {literal(read, 24)}")
        axes[-1].set_xlabel("layer")
    return figure


def probes_said(splits: Mapping[str, Sequence[Row]]) -> str:
    """What the same figure shows, in words: the layer at which each line is highest."""
    said = []
    for split, probes in splits.items():
        lines = {
            label: _by_layer([row for row in probes if row["role"] == role], "accuracy")
            for role, (label, _) in _ROLES.items()
        }
        lines["control labels"] = _by_layer(probes, "control")
        lines |= {label: _by_layer(probes, column) for column, (label, _) in _FLOORS.items()}
        parts = []
        for label, values in lines.items():
            means = {layer: fmean(found) for layer, found in sorted(values.items())}
            if means:
                best = max(means, key=means.__getitem__)
                parts.append(f"{label} {number(means[best])} at layer {best}")
        said.append(f"Best layer of each line on {brief(split)}: {'; '.join(parts)}.")
    return " ".join(said)


def _draw(panel: Axes, probes: Sequence[Row]) -> None:
    layers = sorted({row["layer"] for row in probes})
    ends: list[End] = []
    controls = _by_layer(probes, "control")
    if controls:
        at = sorted(controls)
        lows, highs = [min(controls[layer]) for layer in at], [max(controls[layer]) for layer in at]
        means = [fmean(controls[layer]) for layer in at]
        panel.plot(at, means, color=GREY, linewidth=1.2, label="control labels")
        ends.append(End(means[-1], "control labels", GREY))
        if lows != highs:
            panel.fill_between(at, lows, highs, color=BAND, linewidth=0, label="control labels, range")
    for column, (label, dashes) in _FLOORS.items():
        values = _by_layer(probes, column)
        _mean_line(panel, values, ends, color=GREY, linestyle=dashes, linewidth=1.5, label=label)
    for place, (role, (label, look)) in enumerate(_ROLES.items()):
        of_role = [row for row in probes if row["role"] == role]
        _mean_line(panel, _by_layer(of_role, "accuracy"), ends, **look.line(place, len(_ROLES)), label=label)
        chosen = _by_layer([row for row in of_role if row["chosen"]], "accuracy")
        everything = _by_layer(of_role, "accuracy")
        means = [fmean(everything[layer]) for layer in sorted(chosen)]
        ring: Any = {"markersize": 14 - 2 * place, "markerfacecolor": "none", "markeredgecolor": look.color}
        panel.plot(sorted(chosen), means, "o", **ring, clip_on=False)
    panel.set_xticks(_ticks(layers))
    panel.set_ylim(-0.03, 1.03)
    panel.set_ylabel("accuracy")
    label_ends(panel, ends, _HEIGHT)


def _mean_line(panel: Axes, values: dict[int, list[float]], ends: list[End], **look: Any) -> None:
    if values:
        means = [fmean(values[layer]) for layer in sorted(values)]
        panel.plot(sorted(values), means, **look)
        ends.append(End(means[-1], look["label"], look["color"]))


def _by_layer(probes: Iterable[Row], column: str) -> dict[int, list[float]]:
    """The values of `column` that there are, by layer."""
    values: dict[int, list[float]] = defaultdict(list)
    for row in probes:
        if row[column] is not None:
            values[row["layer"]].append(row[column])
    return dict(values)


def _ticks(layers: list[int], most: int = 12) -> list[int]:
    """At most `most` of the layers, evenly apart."""
    return layers[:: -(-len(layers) // most)]
