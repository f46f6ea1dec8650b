"""The parts of a job as they are finished: each is there whole, or not at all."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save

from activations.errors import UserError
from activations.files import one_line, read_json
from activations.store.disk import lock_folder, replace_file
from undertext.probing.config import Position
from undertext.probing.kinds import Fitted
from undertext.probing.measuring import FittedOf
from undertext.probing.rows import SCHEMA
from undertext.report.save import json_bytes, parquet

FOLDER, JOB = "parts", "job.json"


class Parts:
    """Finished parts by key, in a folder, or in memory where there is none."""

    def __init__(self, out: Path | None) -> None:
        self._folder = None if out is None else out / FOLDER
        self._tables: dict[str, pa.Table] = {}
        self._fitted: dict[str, FittedOf] = {}

    def check(self, job: Mapping[str, Any]) -> None:
        """UserError when the folder holds parts of another job than `job`, saying where they differ."""
        if self._folder is None or not (self._folder / JOB).exists():
            return
        before, now = read_json(self._folder / JOB), json.loads(json_bytes(job))
        differ = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
        if differ:
            shown = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differ[:3])
            raise UserError(
                f"{self._folder.parent} holds a job of another config: {shown}. Give another folder, or the "
                "config it was begun with"
            )

    @contextmanager
    def open(self, job: Mapping[str, Any]) -> Iterator[None]:
        """The body with the folder to itself, and the job written down in it."""
        if self._folder is None:
            yield
            return
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = lock_folder(self._folder)
        try:
            self.check(job)
            with self._writing():
                replace_file(self._folder / JOB, [json_bytes(job)])
            yield
        finally:
            lock.close()

    def keep(self, key: str, table: pa.Table, fitted: FittedOf | None = None) -> None:
        """A finished part; its table comes last, and says that it is finished."""
        if self._folder is None:
            self._tables[key] = table
            if fitted is not None:
                self._fitted[key] = fitted
            return
        with self._writing():
            path = self._folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            if fitted is not None:
                replace_file(path.with_suffix(".safetensors"), [_packed(fitted)])
            replace_file(path.with_suffix(".parquet"), [parquet(table)])

    def table(self, key: str, schema: pa.Schema = SCHEMA) -> pa.Table | None:
        """The rows of a part; None while it is not finished. UserError where its file was damaged."""
        if self._folder is None:
            return self._tables.get(key)
        path = (self._folder / key).with_suffix(".parquet")
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
        path = (self._folder / key).with_suffix(".safetensors")
        try:
            return _unpacked(load_file(path))
        except Exception as error:  # safetensors raises types of its own beside OSError
            table = path.with_suffix(".parquet")
            raise UserError(f"{path} is damaged: {one_line(error)}; remove it and {table}") from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write to {self._folder}: {error.strerror or error}") from error


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
