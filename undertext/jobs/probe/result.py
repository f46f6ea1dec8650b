"""What a probing job found."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from undertext.core.output import RUN, json_bytes, parquet, publish
from undertext.jobs.probe.config import ProbeKind
from undertext.measures.decoding.rows import TRANSFER, table_of
from undertext.report.figures.heatmap import heatmap_figure
from undertext.report.style import png, svg

TABLE, TRANSFERS = "probes.parquet", "transfer.parquet"


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """The table of a job, and how it was made."""

    table: pa.Table
    """A row for each checkpoint, task, split, value, position, layer, kind of probe and control."""
    run: dict[str, Any]
    """Config, fingerprints, versions, times."""
    transfer: pa.Table = field(default_factory=lambda: table_of([], TRANSFER))
    """A row for each figure of what was carried across checkpoints, layers, positions, lengths and types."""

    def heatmap(
        self,
        task: str | None = None,
        *,
        base: str | None = None,
        tuned: str | None = None,
        split: str = "test",
        value: str | None = None,
        probe: ProbeKind | None = None,
        aligned: bool = False,
    ) -> Figure:
        """Layer by position: base, tuned, the tuned one's probes on the base, and the base's selectivity.

        By default of the first task, the first two checkpoints, the first kind of probe, and the mean over
        the values read at a position. With one checkpoint, it and its selectivity. `aligned` adds a panel:
        the tuned one's probes on the base after Procrustes alignment; it needs `transfer: [checkpoint]` in
        the config. Raises UserError, naming what there is, for what the tables do not hold.
        """
        return heatmap_figure(
            self.table,
            self.transfer if aligned else None,
            task=task,
            base=base,
            tuned=tuned,
            split=split,
            value=value,
            probe=probe,
        )

    def save(self, out: str | Path) -> Path:
        """Write probes.parquet, transfer.parquet where anything was carried, a heatmap for each task in
        figures/, and run.json; `out`."""
        files = {TABLE: parquet(self.table)}
        if len(self.transfer):
            files[TRANSFERS] = parquet(self.transfer)
        for task in dict.fromkeys(self.table["task"].to_pylist()):
            rows = self.table.filter(pc.equal(self.table["task"], task))
            splits = list(dict.fromkeys(rows["split"].to_pylist()))
            figure = self.heatmap(task, split="test" if "test" in splits else splits[0])
            files[f"figures/heatmap-{task}.svg"] = svg(figure)
            files[f"figures/heatmap-{task}.png"] = png(figure)
        files[RUN] = json_bytes({**self.run, "files": sorted([*files, RUN])})
        return publish(files, Path(out))

    def __repr__(self) -> str:
        return f"ProbeResult({len(self.table)} rows: {self._counted()})"

    def _counted(self) -> str:
        names = {"checkpoint": "checkpoints", "task": "tasks", "value": "values", "position": "positions"}
        counts = Counter({what: len(set(self.table[column].to_pylist())) for column, what in names.items()})
        return ", ".join(f"{count} {what}" for what, count in counts.items())
