"""What reading along traces found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import torch
from matplotlib.figure import Figure

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.core.result import Headline, Result, typed
from undertext.probes.trace import Leads, TraceReading
from undertext.report.figures.trace import trace_figure


@dataclass(frozen=True)
class Lead:
    """How early one reader reads the answer at one layer."""

    reader: str
    layer: int
    problems: int
    """Problems whose trace says the answer."""
    right_when_said: float | None
    """Share of these whose answer is read right just before the trace says it; None of none."""
    early: float | None
    """Share of these whose answer is read right, and stays so, one token earlier or more; None of none."""


@dataclass(frozen=True, eq=False)
class TraceResult(Result):
    """How well the answer is read after each token of each trace.

    `tables` has `readings`, a row for each problem, reader, layer and token. docs/probes.md says what each
    column holds.
    """

    @property
    def by_layer(self) -> list[Lead]:
        """How early the answer is read, for each reader and layer."""
        leads: list[Lead] = typed(list[Lead], self.summary["leads"])
        return leads

    def headline(self) -> Headline:
        """A row a reader and layer: how early the answer is read."""
        names = ("reader", "layer", "problems", "right_when_said", "early")
        rows = [{name: getattr(lead, name) for name in names} for lead in self.by_layer]
        return Headline(rows, ("reader", "layer"), ("right_when_said", "early"))

    def leads(self, reader: str, layer: int, *, until: Literal["said", "end"] = "said") -> Leads:
        """From which token on each problem's answer is read right, as `TraceReading.leads` says.

        Raises UserError for a reader and layer that were not read.
        """
        return _leads(self.tables["readings"], reader, layer, until)

    def heatmap(self, before: int = 8) -> Figure:
        """Layer by token, a panel a reader: share of problems whose answer is read right, so many tokens
        before the trace says it. UserError where no trace says its answer."""
        return trace_figure(self.tables["readings"].to_pylist(), before)


def lead_of(readings: pa.Table, reader: str, layer: int) -> dict[str, Any]:
    """A `Lead` as plain values."""
    leads = _leads(readings, reader, layer, "said")
    lead = [each for each, said in zip(leads.lead, leads.said, strict=True) if said is not None]
    n = len(lead)
    return {
        "reader": reader,
        "layer": layer,
        "problems": n,
        "right_when_said": sum(each is not None for each in lead) / n if n else None,
        "early": leads.share if n else None,
    }


def _leads(readings: pa.Table, reader: str, layer: int, until: Literal["said", "end"]) -> Leads:
    wanted = pc.and_(pc.equal(readings["reader"], reader), pc.equal(readings["layer"], layer))
    rows = readings.filter(wanted).to_pylist()
    if not rows:
        pairs = readings.group_by(["reader", "layer"]).aggregate([]).to_pylist()
        names = ", ".join(f"{row['reader']} at layer {row['layer']}" for row in pairs)
        raise UserError(f"{reader} at layer {layer} was not read; there are: {names}")
    by_problem: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_problem.setdefault(row["problem"], []).append(row)
    point = HookPoint(layer, "resid_post")
    columns = list(by_problem.values())
    reading = TraceReading(
        (point,),
        [[] for _ in columns],
        [torch.tensor([row["probability"] for row in column])[:, None] for column in columns],
        [torch.tensor([row["right"] for row in column])[:, None] for column in columns],
        [column[0]["before"] for column in columns],
    )
    return reading.leads(point, until=until)
