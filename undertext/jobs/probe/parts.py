"""The parts of a job as they are finished: each is there whole, or not at all."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save

from undertext.activations.errors import UserError
from undertext.activations.files import one_line
from undertext.core.output import parquet
from undertext.core.resume import JobFolder
from undertext.jobs.probe.config import Position
from undertext.measures.decoding.kinds import Fitted
from undertext.measures.decoding.rows import SCHEMA
from undertext.measures.decoding.table import FittedOf


class Parts:
    """Finished parts by key, in a folder, or in memory where there is none."""

    def __init__(self, folder: JobFolder | None) -> None:
        self._folder = folder
        self._tables: dict[str, pa.Table] = {}
        self._fitted: dict[str, FittedOf] = {}

    def keep(self, key: str, table: pa.Table, fitted: FittedOf | None = None) -> None:
        """A finished part; its table comes last, and says that it is finished."""
        if self._folder is None:
            self._tables[key] = table
            if fitted is not None:
                self._fitted[key] = fitted
            return
        if fitted is not None:
            self._folder.write(f"{key}.safetensors", _packed(fitted))
        self._folder.write(f"{key}.parquet", parquet(table))

    def table(self, key: str, schema: pa.Schema = SCHEMA) -> pa.Table | None:
        """The rows of a part; None while it is not finished. UserError where its file was damaged."""
        if self._folder is None:
            return self._tables.get(key)
        path = self._folder.path(f"{key}.parquet")
        if not path.exists():
            return None
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{path} is damaged: {one_line(error)}; remove it, and it is made anew"
            ) from error
        if table.schema != schema:
            raise UserError(f"{path} has other columns than this version writes: give another folder")
        return table

    def fitted(self, key: str) -> FittedOf:
        """The probes of a finished part."""
        if self._folder is None:
            return self._fitted[key]
        path = self._folder.path(f"{key}.safetensors")
        try:
            return _unpacked(load_file(path))
        except Exception as error:  # safetensors raises types of its own beside OSError
            table = path.with_suffix(".parquet")
            raise UserError(f"{path} is damaged: {one_line(error)}; remove it and {table}") from error


_FIELDS = ("coef", "intercept", "classes", "strength", "layer")


def _packed(fitted: FittedOf) -> bytes:
    """Tensors by `position|kind|field|value`, since a value's name may hold anything."""
    tensors = {}
    for (position, name, kind), each in fitted.items():
        for field in _FIELDS:
            of = torch.as_tensor(getattr(each, field)).contiguous()
            tensors[f"{position}|{kind}|{field}|{name}"] = of
    return save(tensors)


def _unpacked(tensors: Mapping[str, torch.Tensor]) -> FittedOf:
    fields: dict[tuple[Position, str, Any], dict[str, Any]] = {}
    for key, tensor in tensors.items():
        at, kind, field, name = key.split("|", 3)
        position: Position = "prompt_end" if at == "prompt_end" else int(at)
        fields.setdefault((position, name, kind), {})[field] = int(tensor) if field == "layer" else tensor
    return {key: Fitted(**each) for key, each in fields.items()}
