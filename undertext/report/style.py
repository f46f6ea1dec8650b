"""How figures are drawn and written: sizes, colours, and bytes that are the same every time."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

WIDTH = 4.7
"""Inches. A phone shows it at about 350 pixels, where 10 points are still 10 pixels high."""
WIDE = 5.5
"""Inches of a figure whose lines are named where they end; on a phone 10 points are 9 pixels."""
_DIGITS = 6
"""Digits to which the places of panels are kept, as shares of the figure."""
_LINE, _AROUND = 12.0, 0.6
"""Points from one name to the next, and inches of a panel that are its title and labels."""

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

# One filled, the others hatched: they lie over each other, and each must be seen through the others. An edge,
# since the range of a single control has no height.
_HATCHED = {"facecolor": "none", "edgecolor": GREY, "linewidth": 0.6}
CONTROL_LOOKS: dict[str, dict[str, Any]] = {
    "random directions": {"color": BAND, "linewidth": 0},
    "shuffled labels": {**_HATCHED, "hatch": "///"},
    "random positions": {**_HATCHED, "hatch": "..."},
    "random features": {**_HATCHED, "hatch": "\\\\\\"},
    "other problems' answers": {**_HATCHED, "hatch": "|||"},
}
"""How the band of each kind of control is filled."""

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
    "pdf.fonttype": 42,  # TrueType: some publishers refuse the default
}


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's defaults with the settings above, whatever the user's own; put back afterwards."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")  # a name in another script: boxes do
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


class End(NamedTuple):
    """Where a line ends, and what it is called there."""

    y: float
    label: str
    color: str


class ReportFigure(Figure):
    """A figure that a notebook shows by itself, with no backend chosen."""

    def _repr_png_(self) -> bytes:
        return png(self)


def stacked(heights: list[float], width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure of panels one above the other, in inches; `legend_below` makes room for a legend."""
    figure = ReportFigure(figsize=(width, sum(heights)), layout="constrained")
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


def label_ends(panel: Axes, ends: Sequence[End], height: float) -> None:
    """Each line's name at its right end, instead of a legend; names that would lie over each other move
    apart.

    `height` is that of the panel in inches, its title and labels included. Limits of the y axis are set
    before.
    """
    low, high = panel.get_ylim()
    room = 72 * (height - _AROUND)
    wanted = [room * (min(max(end.y, low), high) - low) / (high - low) for end in ends]
    for end, at, place in zip(ends, wanted, _apart(wanted, _LINE, room), strict=True):
        moved = place - at
        arrow: Any = {"arrowstyle": "-", "color": end.color, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 2}
        arrow["relpos"] = (0, 0.5)  # from the name's left edge, not through it
        panel.annotate(
            literal(end.label, 24), (1.0, min(max(end.y, low), high)), xycoords=panel.get_yaxis_transform(),
            xytext=(12, moved), textcoords="offset points", color=end.color, va="center",
            arrowprops=arrow, annotation_clip=False,
        )  # fmt: skip


def _apart(wanted: Sequence[float], least: float, room: float) -> list[float]:
    """Places as near to those `wanted` as they can be that are this far apart; within `room` where they fit.

    Neighbours that are too close are put around their mean, together with those that this brings too close.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[int]] = []
    centres: list[float] = []
    for i in order:
        groups.append([i])
        centres.append(wanted[i])
        while len(groups) > 1 and _foot(groups[-1], centres[-1], least, room) < (
            _foot(groups[-2], centres[-2], least, room) + least * len(groups[-2])
        ):
            joined, mine = groups.pop(), centres.pop()
            before = len(groups[-1])
            centres[-1] = (centres[-1] * before + mine * len(joined)) / (before + len(joined))
            groups[-1] += joined
    places = [0.0] * len(wanted)
    for group, centre in zip(groups, centres, strict=True):
        foot = _foot(group, centre, least, room)
        for place, i in enumerate(group):
            places[i] = foot + least * place
    return places


def _foot(group: Sequence[int], centre: float, least: float, room: float) -> float:
    """The lowest place of a group around its centre, moved so that the group lies within the room."""
    span = least * (len(group) - 1)
    return max(0.0, min(centre - span / 2, room - span))


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


def pdf(figure: Figure) -> bytes:
    """The figure as PDF, for LaTeX; the same figure gives the same bytes."""
    with _outlines_alone():
        return _written(figure, "pdf", {"CreationDate": None, "Creator": None, "Producer": None})


def _written(figure: Figure, kind: str, metadata: Mapping[str, str | None]) -> bytes:
    buffer = BytesIO()
    with house_style():
        _lay_out(figure)
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _outlines_alone() -> Iterator[None]:
    """Where a font is embedded, leave out how its letters may be joined and placed.

    What is drawn is placed already, and to cut these tables down to the letters drawn takes most of the time
    of a PDF. Matplotlib has no setting for this, and fontTools no other place than the tables that it drops
    where nothing is said; where a version has them elsewhere, they are kept.
    """
    from fontTools.subset import Options  # comes with matplotlib; nobody waits for it who writes no PDF

    name = "_drop_tables_default"
    before = getattr(Options, name, None)
    if before is None:
        yield
        return
    setattr(Options, name, [*before, "GDEF", "GPOS", "GSUB"])
    try:
        yield
    finally:
        setattr(Options, name, before)


def _lay_out(figure: Figure) -> None:
    """Put panels where the figure's layout wants them, once: a layout moves a little with every drawing.

    After that the figure has no layout: matplotlib would draw one with a layout twice for every file.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    engine.execute(figure)
    figure.set_layout_engine(None)
    # The same figure laid out again may differ in the last digit, which can move a pixel.
    for axes in figure.axes:
        place = Bbox(axes.get_position(original=True).get_points().round(_DIGITS))
        axes.set_position(place, which="original")
