"""Where values are read, as a comparison's page shows it: heatmaps by split, with their figures in words."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from undertext.jobs.compare.result import Comparison
from undertext.report.figures.probes import probes_figure, probes_said
from undertext.report.figures.read_at import (
    read_at_figure,
    read_at_said,
    read_at_table,
    said_step,
    unmeasured_steps,
)

Row = Mapping[str, Any]

HEATMAP, VALUES, PROBES = "heatmap", "values", "probes"
"""Figures: by layer and step, and by layer and value, each with the split after it; and by layer."""
VALUE_CAPTIONS = {
    HEATMAP: "Accuracy of probes by layer (up) and by step (across), each value read where its step is about "
    "to say it: the base's own probes, the tuned checkpoint's own, the stronger's unchanged on the weaker, "
    "and the weaker's less that on control labels (selectivity). A cell is the mean over the values of its "
    "step, each as often as it is read.",
    VALUES: "The same by value (across), over all the steps that say it.",
    PROBES: "How well probes read the problem's values, by layer. Rings mark the layer chosen on dev. "
    "Stronger, weaker: a checkpoint's own probes; transported: the stronger's on the weaker; control labels "
    "with their range; surface: the text alone; last tokens: what can be put together from them; untrained: "
    "a model at random init. A line no higher than the grey ones says no more than labels without meaning, "
    "the text's surface, what can be put together from its last tokens, or a model never trained.",
}


class SplitValues(NamedTuple):
    """What is shown of one split, beside its pictures."""

    split: str
    pictures: list[tuple[str, str]]
    """Names of the figures, and of what kind each is: `HEATMAP` or `VALUES`."""
    unmeasured: list[str]
    """Steps at which no value is read."""
    table: list[list[str]]
    """The step, the number of readings, and base, tuned, transported and selectivity at the layer chosen."""


def value_figures(result: Comparison) -> dict[str, Figure]:
    """`heatmap-SPLIT` of each split whose values were read, `values-SPLIT` where they are of several names,
    and `probes`; none where nothing was read."""
    drawn: dict[str, Figure | None] = {}
    for split, rows in of_splits(result, "positions").items():
        drawn[f"{HEATMAP}-{split}"] = read_at_figure(rows, split, "step")
    probes = of_splits(result, "probes")
    for split, rows in probes.items():
        if len({row["name"] for row in rows}) > 1:
            drawn[f"{VALUES}-{split}"] = read_at_figure(rows, split, "name")
    drawn[PROBES] = probes_figure(probes)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def value_alternatives(result: Comparison) -> dict[str, str]:
    """What the figures show, in words, by name."""
    said = {
        f"{HEATMAP}-{split}": f"Accuracy of probes by layer and step. {read_at_said(rows, split, 'step')}"
        for split, rows in of_splits(result, "positions").items()
    }
    probes = of_splits(result, "probes")
    for split, rows in probes.items():
        by_value = read_at_said(rows, split, "name")
        said[f"{VALUES}-{split}"] = f"Accuracy of probes by layer and value. {by_value}"
    return said | {PROBES: f"Accuracy of probes by layer. {probes_said(probes)}"}


def values_of_splits(result: Comparison, pictures: Mapping[str, bytes]) -> list[SplitValues]:
    """What is shown of each split that has a heatmap."""
    found = []
    positions = of_splits(result, "positions")
    for split in result.splits:
        named = [(f"{kind}-{split}", kind) for kind in (HEATMAP, VALUES)]
        own = [each for each in named if each[0] in pictures]
        if own:
            rows = positions.get(split, [])
            missing = [said_step(step) for step in unmeasured_steps(rows)]
            found.append(SplitValues(split, own, missing, read_at_table(rows)))
    return found


def of_splits(result: Comparison, table: str) -> dict[str, Sequence[Row]]:
    """Rows of a table by split; splits of which there are some."""
    rows = result.tables[table].to_pylist() if table in result.tables else []
    by_split = {split: [row for row in rows if row["split"] == split] for split in result.splits}
    return {split: own for split, own in by_split.items() if own}
