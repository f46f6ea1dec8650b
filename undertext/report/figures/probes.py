"""Figure: how well values are read from activations, by layer."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.rows import Row, rows
from undertext.report.style import (
    BAND,
    BLUE,
    GREY,
    VERMILLION,
    WINE,
    Look,
    legend_below,
    literal,
    stacked,
)

_ROLES = {
    "stronger": ("stronger checkpoint, own probe", Look(VERMILLION, "s")),
    "weaker": ("weaker checkpoint, own probe", Look(BLUE, "o", "--")),
    "transported": ("stronger's probe on the weaker", Look(WINE, "^", ":")),
}
_FLOORS = {"surface": ("read from the surface alone", ":"), "random_init": ("untrained model", (0, (5, 2)))}


def probes_figure(comparison: Comparison) -> Figure | None:
    """Probe accuracy by layer, the mean over the values read; a panel a split. None without probes."""
    found = {split: rows(comparison, "probes", split=split) for split in comparison.splits}
    found = {split: probes for split, probes in found.items() if probes}
    if not found:
        return None
    figure, axes = stacked([2.1] * len(found), legend=1.15)
    for panel, (split, probes) in zip(axes, found.items(), strict=True):
        _draw(panel, probes)
        names = sorted({str(row["name"]) for row in probes})
        read = names[0] if len(names) == 1 else f"mean of {len(names)} values"
        panel.set_title(f"{literal(split, 24)}: {literal(read, 24)}")
    axes[-1].set_xlabel("layer")
    legend_below(figure, axes)
    return figure


def _draw(panel: Axes, probes: list[Row]) -> None:
    layers = sorted({row["layer"] for row in probes})
    controls = _by_layer(probes, "control")
    if controls:
        at = sorted(controls)
        lows, highs = [min(controls[layer]) for layer in at], [max(controls[layer]) for layer in at]
        means = [fmean(controls[layer]) for layer in at]
        panel.plot(at, means, color=GREY, linewidth=1.2, label="control labels")
        if lows != highs:
            panel.fill_between(at, lows, highs, color=BAND, linewidth=0, label="their range, least to most")
    for column, (label, dashes) in _FLOORS.items():
        _mean_line(panel, _by_layer(probes, column), color=GREY, linestyle=dashes, linewidth=1.5, label=label)
    for place, (role, (label, look)) in enumerate(_ROLES.items()):
        of_role = [row for row in probes if row["role"] == role]
        _mean_line(panel, _by_layer(of_role, "accuracy"), **look.line(place, len(_ROLES)), label=label)
        chosen = _by_layer([row for row in of_role if row["chosen"]], "accuracy")
        everything = _by_layer(of_role, "accuracy")
        means = [fmean(everything[layer]) for layer in sorted(chosen)]
        ring: Any = {"markersize": 14 - 2 * place, "markerfacecolor": "none", "markeredgecolor": look.color}
        panel.plot(sorted(chosen), means, "o", **ring, clip_on=False)
    panel.set_xticks(_ticks(layers))
    panel.set_ylim(-0.03, 1.03)
    panel.set_ylabel("accuracy")


def _mean_line(panel: Axes, values: dict[int, list[float]], **look: Any) -> None:
    if values:
        panel.plot(sorted(values), [fmean(values[layer]) for layer in sorted(values)], **look)


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
