"""What steering searched and recovered, as rows of tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from undertext.core.statistics import Estimate
from undertext.core.terms import CHOOSE, CONTROL_KINDS
from undertext.measures.recovery.estimate import RecoveryEstimate
from undertext.measures.recovery.search import SteeringSearch
from undertext.measures.recovery.side_effects import SideEffects

TEXT = ("type", "control", "side_text")
"""Columns of text that can be empty from top to bottom, beside those named `*_control` and `*_output`."""


def schema_of(rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """A column's type, also where all of it is empty."""
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    fields = []
    for column in rows[0]:
        value = next((row[column] for row in rows if row[column] is not None), None)
        kind = (
            pa.bool_()
            if column.endswith(("_strict", "_lenient"))
            else pa.string()
            if column in TEXT or column.endswith(("_control", "_output"))
            else pa.float64()
        )
        fields.append((column, kinds[type(value)] if value is not None else kind))
    return pa.schema(fields)


def sweep_rows(searched: SteeringSearch) -> list[dict[str, Any]]:
    """The table `sweep`: a row a setting, on dev."""
    kinds = {name: control.kind for name, control in searched.candidates.controls.items()}
    on_dev = searched.on_dev
    strict, lenient = (on_dev.accuracy(by).tolist() for by in ("strict", "lenient"))
    steered = on_dev.share_steered().tolist()
    return [
        {
            "vector": setting.vector,
            "control": kinds.get(setting.vector),
            "access": searched.candidates.access[setting.vector],
            "layer": setting.layers[0],
            "hook": searched.hook(setting),
            "dose": float(setting.dose),
            "at": str(setting.gate),
            "operator": setting.operator,
            "problems": int(on_dev.ran[i].sum()),
            "split": CHOOSE,
            "strict": strict[i],
            "lenient": lenient[i],
            "tokens_steered": steered[i],
            "chosen": searched.best[setting.vector] == setting,
        }
        for i, setting in enumerate(on_dev.settings)
    ]


def recovery_row(
    split: str, estimate: RecoveryEstimate, effects: SideEffects | None, *, best_vector: bool, strongest: bool
) -> dict[str, Any]:
    """A row of the table `recovery`: one vector on one split."""
    row = {
        "split": split,
        "vector": estimate.vector,
        "control": estimate.control,
        "access": estimate.access,
        "layer": estimate.layer,
        "hook": estimate.hook,
        "dose": estimate.dose,
        "at": estimate.at,
        "operator": estimate.operator,
        "tokens_steered": estimate.steered,
        "of_all_steered": estimate.steered_of_all,
        **three("accuracy", estimate.lenient, bounds=""),
        "accuracy_graded_strictly": estimate.strict.value,
        **three("difference", estimate.difference),
        **three("recovered", estimate.gap),
        **three("recovered_graded_strictly", estimate.strict_gap),
        "only_format": estimate.only_format,
        "solved": estimate.solved,
        **three("still_correct", estimate.still_correct),
        "unfinished": estimate.unfinished,
    }
    for kind in CONTROL_KINDS:
        excess = estimate.excess.get(kind)
        column = f"over_{kind.replace(' ', '_')}"
        row |= {f"{column}_control": None if excess is None else excess.control}
        row |= three(column, None if excess is None else excess.recovered)
        row |= three(f"{column}_accuracy", None if excess is None else excess.accuracy)
    return row | {
        "best_vector": best_vector,
        "strongest": strongest,
        "side_text": None if effects is None else effects.source,
        "kl": None if effects is None else effects.divergence,
        "perplexity": None if effects is None else effects.perplexity,
        "perplexity_steered": None if effects is None else effects.perplexity_steered,
    }


def three(column: str, estimate: Estimate | None, bounds: str | None = None) -> dict[str, float | None]:
    """Columns of a figure and its interval, empty where there is none."""
    stem = f"{column}_" if bounds is None else bounds
    return {
        column: None if estimate is None else estimate.value,
        f"{stem}low": None if estimate is None else estimate.low,
        f"{stem}high": None if estimate is None else estimate.high,
    }
