"""Figure: how well values are read from activations, by layer."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertext.report.style import (
    BAND,
    BLUE,
    GREY,
    VERMILLION,
    WINE,
    Look,
    house_style,
    legend_below,
    literal,
    stacked,
)

Row = Mapping[str, Any]

_ROLES = {
    "stronger": ("stronger checkpoint, own probe", Look(VERMILLION, "s")),
    "weaker": ("weaker checkpoint, own probe", Look(BLUE, "o", "--")),
    "transported": ("stronger's probe on the weaker", Look(WINE, "^", ":")),
}
_FLOORS = {
    "surface": ("read from the surface alone", ":"),
    "window": ("put together from the last tokens", "-."),
    "random_init": ("untrained model", (0, (5, 2))),
}


def probes_figure(splits: Mapping[str, Sequence[Row]]) -> Figure | None:
    """Probe accuracy by layer, the mean over the values read; a panel a split, of the rows of the table
    `probes`.

    None without any split.
    """
    if not splits:
        return None
    with house_style():
        figure, axes = stacked([2.1] * len(splits))
        for panel, (split, probes) in zip(axes, splits.items(), strict=True):
            _draw(panel, probes)
            names = sorted({str(row["name"]) for row in probes})
            read = names[0] if len(names) == 1 else f"mean of {len(names)} values"
            panel.set_title(f"{literal(split, 24)}: {literal(read, 24)}")
        axes[-1].set_xlabel("layer")
        legend_below(figure, axes)
    return figure


def _draw(panel: Axes, probes: Sequence[Row]) -> None:
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
