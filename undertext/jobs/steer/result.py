"""The answer of `steer`."""

from collections.abc import Mapping, Sequence
from typing import Any

from undertext.core.result import Cell, Headline, Result, typed
from undertext.core.statistics import Estimate
from undertext.measures.recovery.estimate import RecoveryEstimate
from undertext.measures.recovery.side_effects import SideEffects


class SteerResult(Result):
    """What vectors recovered in a checkpoint. `summary` holds `checkpoint`, `stronger` (null without one),
    `task`, and what the properties below give as typed values.

    Tables: `sweep`, a row a setting on dev; `recovery`, a row a split and vector, controls among them.
    """

    @property
    def best_vector(self) -> str | None:
        """The vector that did best on dev; None where only controls were tried."""
        best: str | None = self.summary["best_vector"]
        return best

    @property
    def strongest(self) -> str:
        """The vector, or random direction, that did best on dev."""
        return str(self.summary["strongest"])

    @property
    def shown(self) -> str:
        """The best vector, and where there is none the strongest random direction."""
        return self.best_vector or self.strongest

    @property
    def accuracy(self) -> dict[str, dict[str, Estimate]]:
        """By split: lenient accuracy of `unsteered` and, where there is one, `stronger`."""
        return self._typed(dict[str, dict[str, Estimate]], "accuracy")

    @property
    def splits(self) -> dict[str, dict[str, RecoveryEstimate]]:
        """By split and vector, what the vector's chosen setting recovered; controls among the vectors."""
        return self._typed(dict[str, dict[str, RecoveryEstimate]], "splits")

    @property
    def side_effects(self) -> dict[str, SideEffects | None]:
        """By vector; None where no text was long enough for the vector's gate."""
        return self._typed(dict[str, SideEffects | None], "side_effects")

    @property
    def notes(self) -> Sequence[str]:
        """What could not be made, and why."""
        return list(self.summary["notes"])

    @property
    def stronger(self) -> Mapping[str, Any] | None:
        """The record of the checkpoint that the gap is to; None where none was given."""
        return self.summary["stronger"]

    def headline(self) -> Headline:
        """A row a split: accuracy without and with the vector that did best on dev."""
        rows: list[dict[str, Cell]] = []
        for split, vectors in self.splits.items():
            steered, accuracy = vectors[self.shown], self.accuracy[split]
            rows.append(
                {
                    "split": split,
                    "vector": steered.vector,
                    "unsteered": accuracy["unsteered"],
                    "steered": steered.lenient,
                    "stronger": accuracy.get("stronger"),
                    "difference": steered.difference,
                    "recovered": steered.gap,
                }
            )
        return Headline(rows, ("split",), ("unsteered", "steered", "stronger"))

    def _typed(self, kind: Any, key: str) -> Any:
        return typed(kind, self.summary[key])
