"""Figure: how often the latents of a dictionary fire."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from undertext.report.numbers import percent
from undertext.report.style import BLUE, WIDTH, ReportFigure, house_style

BINS = 30


def firing_figure(frequency: Sequence[float], rows: int) -> Figure | None:
    """Histogram of the share of `rows` at which each latent fires, on a logarithmic axis; dead latents are
    counted in the title. None where every latent is dead."""
    shares, live = _shares(frequency)
    if not len(live):
        return None
    with house_style():
        figure = ReportFigure(figsize=(WIDTH, 2.4), layout="constrained")
        panel = figure.subplots()
        edges = np.geomspace(min(1 / rows, live.min()), max(live.max(), 2 / rows), BINS + 1)
        panel.hist(live.clip(edges[0], edges[-1]), bins=edges.tolist(), color=BLUE)
        panel.set_xscale("log")
        panel.set_xlabel("share of held-out rows at which a latent fires")
        panel.set_ylabel("latents")
        panel.set_title(f"{percent(1 - len(live) / len(shares))} of {len(shares):,} latents are dead")
    return figure


def firing_said(frequency: Sequence[float]) -> str:
    """What the same figure shows, in words: the dead, and quartiles and ends of the others."""
    shares, live = _shares(frequency)
    if not len(live):
        return f"All {len(shares):,} latents are dead."
    ends = ("rarest", "lower quartile", "median", "upper quartile", "most frequent")
    found = zip(ends, np.quantile(live, [0, 0.25, 0.5, 0.75, 1]), strict=True)
    said = ", ".join(f"{name} {100 * share:.3g}%" for name, share in found)
    return f"{len(shares) - len(live):,} of {len(shares):,} latents are dead. Of the others: {said}."


def _shares(frequency: Sequence[float]) -> tuple[Float[ndarray, " latent"], Float[ndarray, " alive"]]:
    """All shares, and those of latents that fire."""
    shares = np.asarray(frequency, float)
    return shares, shares[shares > 0]
