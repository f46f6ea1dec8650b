"""Appending to a store, so that a kill at any moment loses no row that was stored and doubles none."""

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from activations.errors import UserError
from activations.hookpoint import HookPoint
from activations.store.columns import Column, Value, Values, show
from activations.store.disk import lock_folder, replace_file, writing
from activations.store.manifest import DTYPES, ShardEntry, write_manifest
from activations.store.resuming import begin
from activations.store.shard import Unit, shard_pieces

SHARD_BYTES = 128 * 2**20
RESERVED = ("points", "layers")  # what `Store.select` calls its own


class StoreWriter:
    """The one writer of a store: makes it, or goes on with the one in `folder`. A context manager.

    What one `append` brings is stored whole or not at all. It is durable once its shard is written:
    when `shard_rows` are waiting, when `shard_seconds` have passed, at `flush` and at the end of the
    `with` block, whatever ended it. Shards are written by a thread of their own, so capturing goes on
    meanwhile; at most two shards' rows are in memory.

    Args:
        folder: where the store is, or is to be.
        points: hook points, in the order of the activations' first axis.
        d_model: the width of the activations.
        dtype: float32, float16 or bfloat16; activations are converted to it.
        key: the column that `done` is about.
        meta: what is said of the whole store (JSON); it must be the same when going on.
        shard_rows: rows to a shard; by default about 128 MiB of them.
        shard_seconds: how old rows may become that are not stored yet.

    Raises:
        UserError: when another writer is at it, when `folder` holds a store of other points, width,
            dtype, key or meta, or a damaged one, and when it cannot be written.
    """

    done: set[Value]
    """The keys in the store, and those appended since: what need not be appended again."""

    def __init__(
        self,
        folder: str | Path,
        points: Sequence[HookPoint],
        d_model: int,
        *,
        dtype: torch.dtype = torch.float32,
        key: str = "problem",
        meta: Mapping[str, Any] | None = None,
        shard_rows: int | None = None,
        shard_seconds: float = 300.0,
    ):
        names = {value: name for name, value in DTYPES.items()}
        if dtype not in names:
            raise UserError(f"a store's dtype is one of {', '.join(DTYPES)}, got {dtype}")
        if not points or len(set(points)) != len(points):
            raise UserError(f"expected hook points, each once, got [{', '.join(map(str, points))}]")
        if shard_rows is not None and shard_rows < 1:
            raise UserError(f"shard_rows must be at least 1, got {shard_rows}")
        self._folder = Path(folder)
        self._budget = shard_rows or max(1, SHARD_BYTES // (len(points) * d_model * dtype.itemsize))
        self._seconds = shard_seconds
        with writing(self._folder, "to it"):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock_folder(self._folder)
        try:
            self._manifest, self.done = begin(
                self._folder, tuple(map(str, points)), d_model, names[dtype], key, dict(meta or {})
            )
        except BaseException:
            self._lock.close()
            raise
        self._columns = dict(self._manifest.columns)
        self._waiting: list[Unit] = []
        self._flushed_at = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._pending: Future[None] | None = None
        self._state: Literal["open", "failed", "closed"] = "open"

    def append(self, activations: Float[Tensor, "point n d_model"], rows: Mapping[str, Values]) -> None:
        """Add rows: their activations at each point, and columns of `n` texts or whole numbers.

        The columns are the same every time, the key's among them; all rows of a key come at once.
        Nothing of the call is kept when it raises.

        Raises:
            UserError: for other shapes or columns, for a key that is stored already, for values that
                are not finite in the store's dtype, and when an earlier shard could not be written.
        """
        self._check_open()
        columns = {name: Column.of(name, values) for name, values in rows.items()}
        kept = self._checked(activations, columns)
        keys = columns[self._manifest.key].distinct()
        twice = [key for key in keys if key in self.done]
        if twice:
            raise UserError(f"store {self._folder} already has {self._manifest.key} {show(twice)}")
        if not len(columns[self._manifest.key]):
            return
        self._columns = {name: column.kind for name, column in columns.items()}
        self._waiting.append(Unit(kept, columns))
        self.done.update(keys)
        late = time.monotonic() - self._flushed_at > self._seconds
        if late or sum(map(len, self._waiting)) >= self._budget:
            self._send()

    def flush(self) -> None:
        """Return when all that was appended is durable; UserError when it cannot be written."""
        self._check_open()
        self._send()
        self._wait()

    def close(self) -> None:
        """Flush, and let the next writer in; UserError when the last rows cannot be written."""
        try:
            if self._state == "open":
                self.flush()
        finally:
            if self._state != "closed":
                self._state = "closed"
                self._thread.shutdown()
                self._lock.close()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except UserError as late:
            if error is None:
                raise
            error.add_note(str(late))  # what ended the block is what the user must hear first

    def _checked(self, activations: Tensor, columns: dict[str, Column]) -> Tensor:
        """A copy of `activations` in the store's dtype, when they and the columns are as they must be."""
        manifest = self._manifest
        n = len(next(iter(columns.values()))) if columns else 0
        wanted = (len(manifest.points), n, manifest.d_model)
        if tuple(activations.shape) != wanted or any(len(column) != n for column in columns.values()):
            lengths = ", ".join(f"{name}: {len(column)}" for name, column in columns.items())
            raise UserError(
                f"expected activations [{wanted[0]}, n, {wanted[2]}] and columns of n rows, "
                f"got {list(activations.shape)} and {lengths or 'no columns'}"
            )
        kinds = {name: column.kind for name, column in columns.items()}
        bad = [name for name in columns if not re.fullmatch(r"[a-z]\w*", name) or name in RESERVED]
        if bad:
            raise UserError(
                f"columns are named in lower case, and not {' or '.join(RESERVED)}; got {show(bad)}"
            )
        if manifest.key not in columns or (n and self._columns and kinds != self._columns):
            asked = ", ".join(
                f"{k} ({v})" for k, v in (self._columns or {manifest.key: "text or integer"}).items()
            )
            raise UserError(
                f"expected the columns {asked}, got {', '.join(f'{k} ({v})' for k, v in kinds.items())}"
            )
        # A copy even where nothing changes: the caller may write into its own tensor again.
        kept = torch.empty(wanted, dtype=manifest.torch_dtype).copy_(activations.detach())
        for place, point in enumerate(manifest.points):
            if n and not torch.stack(tuple(kept[place].aminmax())).isfinite().all():
                raise UserError(
                    f"NaN or infinity at {point}, as {manifest.dtype}: nothing of this was stored"
                )
        return kept

    def _send(self) -> None:
        """Hand what is waiting to the thread, when it is done with what it had."""
        self._wait()
        self._flushed_at = time.monotonic()
        if self._waiting:
            units, self._waiting = self._waiting, []
            self._pending = self._thread.submit(self._save, units)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                pending.result()
            except BaseException:
                self._state = "failed"
                raise

    def _save(self, units: list[Unit]) -> None:
        """Write a shard, then the manifest that lists it: rows are stored from that moment."""
        manifest, name = self._manifest, self._manifest.next_shard
        with writing(self._folder, name):
            written = replace_file(self._folder / name, shard_pieces(manifest.points, units))
            entry = ShardEntry(
                file=name, rows=sum(map(len, units)), bytes=written.size, sha256=written.sha256
            )
            columns = {name: column.kind for name, column in units[0].columns.items()}
            listed = manifest.model_copy(update={"columns": columns, "shards": (*manifest.shards, entry)})
            write_manifest(self._folder, listed)
        self._manifest = listed

    def _check_open(self) -> None:
        if self._state == "closed":
            raise UserError(f"the writer of store {self._folder} is closed: open another")
        if self._state == "failed":
            raise UserError(f"store {self._folder} could not be written: open it again to go on")
