"""How figures are drawn and written: sizes, colours, and bytes that are the same every time."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 4.7
"""Inches. A phone shows it at about 350 pixels, where 10 points are still 10 pixels high."""

BLUE, VERMILLION, GREEN, WINE, SKY, ORANGE = "#0072B2", "#D55E00", "#007A5A", "#882255", "#3C9BD6", "#B87A00"
"""After Okabe and Ito, whose colours the colour-blind can tell apart; some darkened for contrast."""
GREY = "#5F6368"
BAND = "#D5D8DC"


class Look(NamedTuple):
    """Colour, marker and dash pattern together, so that no series is known by colour alone."""

    color: str
    marker: str
    dashes: str = "-"

    def line(self, place: int, of: int) -> dict[str, Any]:
        """Keyword arguments for `Axes.plot`, for the line drawn at this place among so many.

        Lines grow thinner in the order they are drawn, so that those that run together all show.
        """
        thin = place / max(of - 1, 1)
        look = {"color": self.color, "marker": self.marker, "linestyle": self.dashes}
        return look | {"markersize": 9 - 4.5 * thin, "linewidth": 3.6 - 2.2 * thin}


LOOKS = (
    Look(BLUE, "o"),
    Look(VERMILLION, "s", "--"),
    Look(GREEN, "D", "-."),
    Look(WINE, "^", ":"),
    Look(SKY, "v"),
    Look(ORANGE, "P", "--"),
)

_SETTINGS: Any = {
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E6E8EA",
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "savefig.dpi": 200,
    "svg.hashsalt": "undertext",  # otherwise the ids in an SVG differ from one run to the next
    "svg.fonttype": "path",  # looks the same where the font is not installed
}


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's defaults with the settings above, whatever the user's own; put back afterwards."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")  # a name in another script: boxes do
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


class ReportFigure(Figure):
    """A figure that a notebook shows by itself, with no backend chosen."""

    def _repr_png_(self) -> bytes:
        return png(self)


def stacked(heights: list[float]) -> tuple[Figure, list[Axes]]:
    """A figure of panels one above the other, `heights` in inches; `legend_below` makes room for a legend."""
    figure = ReportFigure(figsize=(WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    return figure, list(axes[:, 0])


def legend_below(figure: Figure, axes: list[Axes]) -> None:
    """One legend for all panels, each label once, below them; the figure grows by its height."""
    named: dict[str, Artist] = {}
    for panel in axes:
        handles, labels = panel.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    if named:
        figure.set_figheight(figure.get_figheight() + 0.3 + 0.22 * len(named))
        figure.legend(list(named.values()), list(named), loc="outside lower center")


def literal(text: str, most: int = 34) -> str:
    """`text` as matplotlib should draw it: on one line, cut at `most` characters, `$` no mathematics."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cut = line if len(line) <= most else line[: most - 1] + "…"
    drawn = cut.replace("$", r"\$")
    return f" {drawn}" if drawn.startswith("_") else drawn  # a legend leaves out what starts with _


def svg(figure: Figure, says: str | None = None) -> bytes:
    """The figure as SVG; the same figure gives the same bytes. `says` tells those who cannot see it what it
    shows."""
    return _written(figure, "svg", {"Date": None} | ({"Title": says} if says else {}))


def png(figure: Figure) -> bytes:
    """The figure as PNG at 200 dots an inch; the same figure gives the same bytes."""
    return _written(figure, "png", {"Software": None})


def _written(figure: Figure, kind: str, metadata: Mapping[str, str | None]) -> bytes:
    buffer = BytesIO()
    with house_style():
        if figure.get_layout_engine() is not None:
            # A layout moves a little with every drawing: it is made once, and then holds.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()
