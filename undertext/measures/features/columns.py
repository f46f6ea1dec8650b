"""What was measured on features as the columns of tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from jaxtyping import Float
from torch import Tensor

from undertext.measures.features.association import KINDS, Association, BestClass, best_class
from undertext.measures.features.encoding import EncodedSplit


def best_columns(
    chosen: Sequence[Association], reported: Mapping[str, Sequence[Association]]
) -> dict[str, Any]:
    """Columns of the class of each kind of labels that features predict best.

    The keys of `reported` end the columns' names, as in `value_auroc_base`; the empty key ends none.
    """
    columns: dict[str, Any] = {}
    for kind in KINDS:
        best = best_class(kind, chosen, *reported.values())
        if best is not None:
            columns |= _of_kind(best, list(reported))
    return columns


def _of_kind(best: BestClass, models: Sequence[str]) -> dict[str, Any]:
    kind = best.kind
    columns: dict[str, Any] = {"value": best.name} if kind == "value" else {}
    columns |= {f"{kind}_class": best.cls, f"{kind}_auroc_chosen": numbers(best.chosen)}
    for model, auroc, information in zip(models, best.auroc, best.information, strict=True):
        columns[_name(f"{kind}_auroc", model)] = numbers(auroc)
        columns[_name(f"{kind}_information", model)] = numbers(information)
    return columns


def classes_table(
    chosen: EncodedSplit, reported: EncodedSplit, models: Sequence[str], own: int = 0
) -> pa.Table:
    """The AUROC of every feature for every class; classes are chosen in the checkpoint of index `own`."""
    parts = []
    for i, association in enumerate(chosen.associations[own]):
        labels = association.labels
        for c, cls in enumerate(labels.classes):
            n = association.auroc.shape[1]
            columns: dict[str, Any] = {
                "feature": list(range(n)),
                "kind": [labels.kind] * n,
                "name": [labels.name] * n,
                "class": [cls] * n,
                "auroc_chosen": pa.array(numbers(association.auroc[c]), pa.float64()),
            }
            for model, associations in zip(models, reported.associations, strict=True):
                auroc = numbers(associations[i].auroc[c])
                columns[_name("auroc", model)] = pa.array(auroc, pa.float64())
            parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A table of rows that may hold lists; parts of lists are named as parquet names them, so that the table
    is the same when it is read from a file."""
    schema = pa.Table.from_pylist(list(rows)).schema
    named = pa.schema([pa.field(field.name, _as_read(field.type)) for field in schema])
    return pa.Table.from_pylist(list(rows), schema=named)


def _as_read(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(pa.field("element", _as_read(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _as_read(field.type)) for field in kind])
    return kind


def numbers(values: Float[Tensor, " n"]) -> list[float | None]:
    """The values as floats, NaN as None."""
    return [None if value != value else value for value in values.double().tolist()]


def _name(column: str, model: str) -> str:
    return f"{column}_{model}" if model else column
