"""Figure: the latents of a crosscoder, by which of the two checkpoints writes them."""

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from undertext.report.numbers import number, percent
from undertext.report.style import BLUE, GREY, VERMILLION, Look, house_style, legend_below, stacked

_KINDS = {
    "shared": ("shared", Look(GREY, "x")),
    "base_only": ("base only", Look(BLUE, "o")),
    "tuned_only": ("tuned only", Look(VERMILLION, "^")),
}
"""What each kind is called, and how it is drawn; what few latents are is drawn over what most are."""
MOST_PATHS = 2000
"""Marks that an SVG holds as paths; of more it holds a picture."""
Row = Mapping[str, Any]


def latents_figure(latents: Sequence[Row]) -> Figure | None:
    """How often each latent fires, and the cosine of its two decoders, by its relative decoder norm: 0 in the
    base alone, 1 in the tuned alone.

    Rows have `relative_norm`, `cosine`, `frequency` and `kind_by_scaling`. None where no latent fires.
    """
    living = _living(latents)
    if not living:
        return None
    with house_style():
        figure, panels = stacked([2.5, 2.3])
        for kind, (label, look) in _KINDS.items():
            own = [row for row in living if row["kind_by_scaling"] == kind]
            if not own:
                continue
            for panel, name in zip(panels, ("frequency", "cosine"), strict=True):
                panel.plot(
                    [row["relative_norm"] for row in own], [row[name] for row in own], look.marker,
                    color=look.color, label=label, markersize=4.5, alpha=0.7,
                    markerfacecolor="none", rasterized=len(living) > MOST_PATHS,
                )  # fmt: skip
        panels[0].set_yscale("log")
        panels[0].set_ylabel("fires at (share of tokens)")
        panels[1].set_ylabel("cosine of decoders")
        panels[1].set_ylim(-1.08, 1.08)
        panels[1].set_xlabel("relative decoder norm")
        for panel in panels:
            panel.set_xlim(-0.04, 1.04)
            panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0: base", "0.25", "0.5", "0.75", "1: tuned"])
        panels[0].set_title(f"{len(living):,} of {len(latents):,} latents fire")
        legend_below(figure, panels)
    return figure


def latents_said(latents: Sequence[Row]) -> str:
    """What the same figure shows, in words."""
    living = _living(latents)
    said = []
    for kind, (label, _) in _KINDS.items():
        if own := [row for row in living if row["kind_by_scaling"] == kind]:
            norms, cosines, shares = (
                [row[name] for row in own] for name in ("relative_norm", "cosine", "frequency")
            )
            said.append(
                f"{label} {len(own):,} ({percent(len(own) / len(living))}), relative norm {_spread(norms)}, "
                f"cosine {_spread(cosines)}, fires at {_shares(shares)} of tokens"
            )
    return f"{len(living):,} of {len(latents):,} latents fire. Median and range: {'; '.join(said)}."


def _living(latents: Sequence[Row]) -> list[Row]:
    """Latents that fire, and whose place is known."""
    return [
        row
        for row in latents
        if row["frequency"] > 0
        and all(row[name] is not None and isfinite(row[name]) for name in ("relative_norm", "cosine"))
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def _shares(values: Sequence[float]) -> str:
    median_, low, high = (f"{100 * each:.2g}%" for each in (median(values), min(values), max(values)))
    return f"{median_} ({low} to {high})"
