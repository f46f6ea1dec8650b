"""What the parts come to: columns of figures, rows of tables, and what could not be measured and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy import ndarray

from undertext.core.terms import Role
from undertext.jobs.measure.figures_of import Column, Kind, Statistic
from undertext.jobs.measure.parts import Probed
from undertext.measures.trace.confidence import accuracy_gap
from undertext.measures.trace.information import gain, rationalised
from undertext.measures.trace.probe_along import RIGHT

NUMBER, TEXT, WHOLE, FLAG = pa.float64(), pa.string(), pa.int64(), pa.bool_()
SCHEMAS = {
    "outputs": [
        ("problem", TEXT), ("checkpoint", TEXT), ("answer", TEXT), ("output", TEXT), ("given", TEXT),
        ("right", FLAG), ("unfinished", FLAG), ("tokens", WHOLE), ("steps", WHOLE), ("first_said", WHOLE),
        ("valid", FLAG), ("stated", NUMBER), ("stated_by_chance", NUMBER), ("words", WHOLE),
        ("doubt", NUMBER), ("repeated", NUMBER), ("backtracks", WHOLE), ("changed_after", FLAG),
        ("unshifted", NUMBER), ("marginal", NUMBER), ("shifted", NUMBER), ("internal", NUMBER),
        ("voiced", NUMBER), ("sensitivity", NUMBER),
    ],
    "steps": [
        ("problem", TEXT), ("writer", TEXT), ("step", WHOLE), ("start", WHOLE), ("end", WHOLE),
        ("text", TEXT), ("valid", FLAG), ("dead", FLAG), ("says_dead", FLAG),
    ],
    "along": [
        ("problem", TEXT), ("checkpoint", TEXT), ("traces", TEXT), ("step", WHOLE), ("of", WHOLE),
        ("log_p_right", NUMBER), ("log_p_given", NUMBER), ("perplexity", NUMBER), ("gain", NUMBER),
        ("gain_published", NUMBER), ("probe_right", NUMBER), ("probe_given", NUMBER),
        ("probe_will_be_right", NUMBER),
    ],
    "curves": [
        ("traces", TEXT), ("checkpoint", TEXT), ("share", NUMBER), ("gain", NUMBER), ("low", NUMBER),
        ("high", NUMBER), ("n", WHOLE),
    ],
    "confidence": [
        ("problem", TEXT), ("checkpoint", TEXT), ("traces", TEXT), ("steps", WHOLE),
        ("given_commitment", NUMBER), ("given_monotonicity", NUMBER), ("given_area", NUMBER),
        ("right_commitment", NUMBER), ("right_monotonicity", NUMBER), ("right_area", NUMBER),
        ("probe_given_commitment", NUMBER), ("probe_given_monotonicity", NUMBER),
        ("probe_given_area", NUMBER), ("probe_right_commitment", NUMBER),
        ("probe_right_monotonicity", NUMBER), ("probe_right_area", NUMBER),
    ],
    "exploration": [
        ("problem", TEXT), ("checkpoint", TEXT), ("traces", TEXT), ("steps", WHOLE), ("known", WHOLE),
        ("dead", WHOLE), ("entered", WHOLE), ("left", WHOLE), ("cut", WHOLE),
    ],
    "readings": [
        ("problem", TEXT), ("checkpoint", TEXT), ("measure", TEXT), ("reading", TEXT), ("traces", TEXT),
        ("step", WHOLE), ("is", TEXT), ("layer", WHOLE), ("right", NUMBER), ("control", NUMBER),
        ("shuffled", NUMBER), ("random_init", NUMBER), ("surface", NUMBER), ("chance", NUMBER),
    ],
    "changes": [
        ("problem", TEXT), ("checkpoint", TEXT), ("traces", TEXT), ("change", TEXT), ("output", TEXT),
        ("given", TEXT), ("implied", TEXT), ("follows_trace", FLAG), ("kept", FLAG), ("right", FLAG),
    ],
    "wordings": [
        ("problem", TEXT), ("checkpoint", TEXT), ("wording", WHOLE), ("right", FLAG), ("confidence", NUMBER),
    ],
    "shifted_words": [
        ("word", TEXT), ("count", WHOLE), ("shifted", WHOLE), ("mean_rank", NUMBER),
    ],
}  # fmt: skip
"""Columns of the tables; docs/measures.md says what each column holds."""
Row = dict[str, Any]


@dataclass
class Collected:
    """Figures, rows and gaps, as they come."""

    columns: list[Column] = field(default_factory=list)
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in SCHEMAS})
    unmeasured: list[dict[str, str]] = field(default_factory=list)

    def add(
        self,
        measure: str,
        figure: str,
        traces: str,
        kind: Kind,
        by_role: Mapping[Role, ndarray],
        **more: Any,
    ) -> None:
        """One figure, of the checkpoints that have it."""
        self.columns.append(Column(measure, figure, traces, kind, by_role, **more))

    def miss(self, measure: str, what: str, reason: str) -> None:
        """Something that was not measured, and why."""
        gap = {"measure": measure, "what": what, "reason": reason}
        if gap not in self.unmeasured:
            self.unmeasured.append(gap)

    def arrow(self) -> dict[str, pa.Table]:
        """The tables that have rows."""
        return {
            name: pa.Table.from_pylist(rows, pa.schema(SCHEMAS[name]))
            for name, rows in self.tables.items()
            if rows
        }


def spread(index: Sequence[int], values: Sequence[float | None], problems: int) -> ndarray:
    """Values at their problems, NaN elsewhere and for None."""
    out = np.full(problems, np.nan)
    for i, value in zip(index, values, strict=True):
        out[i] = np.nan if value is None else value
    return out


def information_columns(
    collected: Collected, traces: str, by_role: Mapping[Role, "TrailReads"], problems: int, *, paired: bool
) -> None:
    """Information gain, in both forms, and the rationalisation index; with their change where `paired`."""
    totals: dict[str, dict[Role, ndarray]] = {}
    index: dict[Role, ndarray] = {}
    for role, reads in by_role.items():
        gains = [gain(t, r, t.problem.answer) for t, r in zip(reads.trails, reads.right, strict=True)]
        per_step = [each.total / len(each.steps) if len(each.steps) else None for each in gains]
        for name, values in (
            ("gain, answer form (nats)", [each.total for each in gains]),
            ("gain per step, answer form (nats)", per_step),
            ("gain before a step says the answer (nats)", [each.unsaid for each in gains]),
            ("gain, published code's form", [each.published for each in gains]),
        ):
            totals.setdefault(name, {})[role] = spread(reads.index, values, problems)
        given = [
            None if r is None or t.answer is None else gain(t, r, t.answer)
            for t, r in zip(reads.trails, reads.given, strict=True)
        ]
        rows = np.full((problems, 2), np.nan)
        rows[reads.index] = rationalised(given)
        index[role] = rows
    for name, columns in totals.items():
        collected.add("information", name, traces, "mean", columns, paired=paired)
    collected.add("information", "rationalisation index", traces, "ratio", index, paired=paired)


def along_rows(role: Role, traces: str, reads: "TrailReads", probed: Probed | None) -> list[Row]:
    """Rows of the table `along`."""
    rows = []
    for k, (trail, right, given) in enumerate(zip(reads.trails, reads.right, reads.given, strict=True)):
        read = {
            "probe_right": None if probed is None else probed.answer.of(k, trail.problem.answer),
            "probe_given": None if probed is None else probed.answer.of(k, trail.answer),
            "probe_will_be_right": None if probed is None else probed.right.of(k, RIGHT),
        }
        gained = gain(trail, right, trail.problem.answer)
        for step, value in enumerate(right.log_probs.tolist()):
            rows.append(
                {
                    "problem": trail.problem.id,
                    "checkpoint": role,
                    "traces": traces,
                    "step": step,
                    "of": len(trail.steps),
                    "log_p_right": value,
                    "log_p_given": None if given is None else float(given.log_probs[step]),
                    "perplexity": float(right.perplexities[step]),
                    "gain": float(gained.steps[step - 1]) if step else None,
                    "gain_published": float(gained.published_steps[step - 1]) if step else None,
                    **{name: None if p is None else float(p[step]) for name, p in read.items()},
                }
            )
    return rows


def difference_of_shares(a: ndarray, group: ndarray) -> tuple[ndarray, Statistic]:
    """Columns and statistic of the mean of `a` within a group less that outside it."""
    known = ~(np.isnan(a) | np.isnan(group))
    inside = group > 0.5
    rows = np.stack([~inside * a, ~inside, inside * a, inside], -1).astype(float)
    rows[~known] = np.nan
    return rows, accuracy_gap


@dataclass(frozen=True, eq=False)
class TrailReads:
    """Traces with what was read along each."""

    index: list[int]
    trails: list[Any]
    right: list[Any]
    given: list[Any]
    long: int = 0
    """Number of traces left out: too many steps, or too long for the context."""
