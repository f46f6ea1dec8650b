"""What steering searched and recovered, as rows of tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from undertext.activations.hookpoint import HookPoint
from undertext.core.statistics import Estimate
from undertext.measures.answers import Answers
from undertext.measures.recovery.controls import KINDS, described
from undertext.measures.recovery.estimate import RecoveryEstimate, recovered
from undertext.measures.recovery.search import SteeredAnswers, SteeringSearch
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


def sweep_rows(found: SteeringSearch) -> list[dict[str, Any]]:
    """The table `sweep`."""
    kinds = {name: control.kind for name, control in found.offered.controls.items()}
    strict, lenient = (found.on_dev.accuracy(by).tolist() for by in ("strict", "lenient"))
    steered = found.on_dev.share_steered().tolist()
    return [
        {
            "vector": setting.vector,
            "control": kinds.get(setting.vector),
            "oracle": found.offered.oracles[setting.vector],
            "layer": setting.layers[0],
            "hook": str(HookPoint(setting.layers[0], "resid_post")),
            "dose": float(setting.dose),
            "at": described(setting.where),
            "operator": setting.operator,
            "problems": int(found.on_dev.ran[i].sum()),
            "split": "dev",
            "strict": strict[i],
            "lenient": lenient[i],
            "tokens_steered": steered[i],
            "chosen": found.best[setting.vector] == setting,
        }
        for i, setting in enumerate(found.on_dev.settings)
    ]


def recovery_rows(
    recovery: SteeredAnswers,
    split: str,
    weaker: Answers,
    stronger: Answers | None,
    effects: Mapping[str, SideEffects | None],
    *,
    seed: int,
    level: float,
) -> list[dict[str, Any]]:
    """The table `recovery`: a row a vector."""
    return [
        _recovery_row(recovered(recovery, name, weaker, stronger, seed=seed, level=level), split, recovery)
        | _side_columns(effects.get(name))
        for name in recovery.search.best
    ]


def _recovery_row(found: RecoveryEstimate, split: str, recovery: SteeredAnswers) -> dict[str, Any]:
    row = {
        "split": split,
        "vector": found.vector,
        "control": found.control,
        "oracle": found.oracle,
        "layer": found.setting.layers[0],
        "hook": str(HookPoint(found.setting.layers[0], "resid_post")),
        "dose": float(found.setting.dose),
        "at": described(found.setting.where),
        "operator": found.setting.operator,
        "tokens_steered": found.steered,
        "of_all_steered": found.steered_of_all,
        **three("accuracy", found.lenient, bounds=""),
        "accuracy_graded_strictly": found.strict.value,
        **three("difference", found.difference),
        **three("recovered", found.gap),
        **three("recovered_graded_strictly", found.strict_gap),
        "only_format": found.only_format,
        "solved": found.solved,
        **three("kept", found.kept),
    }
    for kind in KINDS:
        excess = found.excess.get(kind)
        column = f"over_{kind.replace(' ', '_')}"
        row |= {f"{column}_control": None if excess is None else excess.control}
        row |= three(column, None if excess is None else excess.recovered)
        row |= three(f"{column}_accuracy", None if excess is None else excess.accuracy)
    return row | {"headline": found.vector == recovery.search.headline}


def _side_columns(found: SideEffects | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys(("side_text", "kl", "perplexity", "perplexity_steered"))
    return {
        "side_text": found.source,
        "kl": found.divergence,
        "perplexity": found.perplexity,
        "perplexity_steered": found.perplexity_steered,
    }


def three(column: str, found: Estimate | None, bounds: str | None = None) -> dict[str, float | None]:
    """Columns of a figure and its interval, empty where there is none."""
    stem = f"{column}_" if bounds is None else bounds
    return {
        column: None if found is None else found.value,
        f"{stem}low": None if found is None else found.low,
        f"{stem}high": None if found is None else found.high,
    }
