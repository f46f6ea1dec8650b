"""What a probing job found."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from undertext.core.result import Headline, Result, typed
from undertext.report.figures.heatmap import heatmap_figure


@dataclass(frozen=True)
class BestReading:
    """A value read on one checkpoint by its own probe, at the layer that reads dev best."""

    checkpoint: str
    task: str
    split: str
    value: str
    position: str
    probe: str
    layer: int
    n: int
    """Rows read."""
    classes: int
    accuracy: float
    baseline: float
    """Accuracy of always answering train's commonest value."""
    selectivity: float | None
    """Accuracy less that on control labels at the same layer; None without that control."""
    mdl: float | None
    """Bits a row of the online code; None where it was not measured."""
    erased: float | None
    """Accuracy of a fresh probe after LEACE; None where it was not measured."""
    controls: Mapping[str, float]
    """Accuracy of each control, at the layer that reads dev best for that control."""


@dataclass(frozen=True)
class TransportedReading:
    """A value read on one checkpoint by the probe of another, at the layer chosen in the other."""

    checkpoint: str
    fitted_on: str
    task: str
    split: str
    value: str
    position: str
    probe: str
    layer: int
    n: int
    accuracy: float


@dataclass(frozen=True, eq=False, repr=False)
class ProbeResult(Result):
    """The tables of a probing job, and its readings at the chosen layers.

    `tables` has `probes`, a row for each checkpoint, task, split, value, position, layer, kind of probe and
    control; and `transfer`, a row for each figure of probes transferred across checkpoints, layers,
    positions, lengths and types. docs/probes.md says what each column holds.
    """

    @property
    def readings(self) -> list[BestReading]:
        """Each checkpoint's own readings at the layer chosen on dev."""
        readings: list[BestReading] = typed(list[BestReading], self.summary["readings"])
        return readings

    @property
    def transported(self) -> list[TransportedReading]:
        """Readings by another checkpoint's probes, unchanged."""
        readings: list[TransportedReading] = typed(list[TransportedReading], self.summary["transported"])
        return readings

    def heatmap(
        self,
        task: str | None = None,
        *,
        base: str | None = None,
        tuned: str | None = None,
        split: str = "test",
        value: str | None = None,
        probe: str | None = None,
        aligned: bool = False,
    ) -> Figure:
        """Layer by position: base, tuned, the tuned one's probes on the base, and the base's selectivity.

        By default of the first task, the first two checkpoints, the first kind of probe, and the mean over
        the values read at a position. With one checkpoint, it and its selectivity. `aligned` adds a panel:
        the tuned one's probes on the base after Procrustes alignment; it needs `transfer: [checkpoint]` in
        the config. Raises UserError, naming what there is, for what the tables do not hold.
        """
        return heatmap_figure(
            self.tables["probes"].to_pylist(),
            self.tables["transfer"].to_pylist() if aligned else None,
            task=task,
            base=base,
            tuned=tuned,
            split=split,
            value=value,
            probe=probe,
        )

    def headline(self) -> Headline:
        """A row a reading at the layer chosen on dev, each checkpoint by its own probe."""
        keys = ("checkpoint", "task", "split", "value", "position", "probe")
        figures = ("layer", "accuracy", "baseline", "selectivity")
        rows = [{name: getattr(each, name) for name in (*keys, *figures)} for each in self.readings]
        return Headline(rows, keys, ("accuracy", "baseline"))

    def __repr__(self) -> str:
        probes = self.tables["probes"]
        names = {"checkpoint": "checkpoints", "task": "tasks", "value": "values", "position": "positions"}
        counts = [f"{len(set(probes[column].to_pylist()))} {what}" for column, what in names.items()]
        return f"ProbeResult({len(probes)} rows: {', '.join(counts)})"
