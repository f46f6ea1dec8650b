"""What `measure` found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undertext.activations.errors import UserError
from undertext.core.result import Cell, Headline, Result, typed
from undertext.core.statistics import Estimate


@dataclass(frozen=True)
class Measured:
    """One figure of one measure."""

    measure: str
    figure: str
    traces: str
    """Whose traces the figure is of; empty where it is of none."""
    base: Estimate | None
    tuned: Estimate | None
    change: Estimate | None
    """Tuned less base, over the problems that have the figure in both; None where these are not to be held
    against each other."""


@dataclass(frozen=True)
class Unmeasured:
    """Something that was not measured, in whole or in part, and why."""

    measure: str
    what: str
    reason: str


class MeasureResult(Result):
    """The measures of a trace, on one checkpoint or on two. docs/measures.md says what each figure is.

    Tables: `outputs`, a row a problem and checkpoint; `steps`, how traces were split; `along`, `curves`,
    `confidence`, `exploration`, `readings`, `changes`, `wordings` and `shifted_words` where they were
    measured.
    """

    @property
    def measured(self) -> list[Measured]:
        """Every figure, in the order of the measures."""
        found: list[Measured] = typed(list[Measured], self.summary["figures"])
        return found

    @property
    def unmeasured(self) -> list[Unmeasured]:
        """What was not measured, and why."""
        found: list[Unmeasured] = typed(list[Unmeasured], self.summary["unmeasured"])
        return found

    @property
    def judge(self) -> str | None:
        """Who judged whether traces are valid, in words; None where nobody did."""
        return self.summary["judge"]

    @property
    def tuned(self) -> Mapping[str, Any] | None:
        """The record of the tuned checkpoint; None where one was measured alone."""
        return self.summary["tuned"]

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the figures must know."""
        return list(self.summary["notes"])

    def headline(self) -> Headline:
        """A row a figure: of the base, of the tuned checkpoint, and the change."""
        rows: list[dict[str, Cell]] = [
            {
                "measure": each.measure,
                "figure": each.figure,
                "traces": each.traces,
                "base": each.base,
                "tuned": each.tuned,
                "change": each.change,
            }
            for each in self.measured
        ]
        return Headline(rows, ("measure", "figure", "traces"), ("base", "tuned"))

    def of(self, measure: str, figure: str, traces: str | None = None) -> Measured:
        """One figure; the first of that name where `traces` is None. UserError naming those there are."""
        own = [each for each in self.measured if each.measure == measure]
        for each in own:
            if each.figure == figure and traces in (None, each.traces):
                return each
        names = ", ".join(f"{each.figure} ({each.traces})" if each.traces else each.figure for each in own)
        raise UserError(f"no figure {figure!r} of {measure!r}; there are: {names or 'none'}")
