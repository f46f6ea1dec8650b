"""Appending to a store, so that a kill at any moment loses no row that was stored and doubles none."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store.columns import Value, Values, show
from undertext.activations.store.disk import lock_folder, replace_file, writing
from undertext.activations.store.manifest import DTYPES, ShardEntry, write_manifest
from undertext.activations.store.memory import Room
from undertext.activations.store.resuming import begin
from undertext.activations.store.shard import shard_pieces
from undertext.activations.store.unit import Unit, make_unit

SHARD_BYTES = 64 * 2**20


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
        shard_rows: rows to a shard; by default about 64 MiB of them.
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
        if d_model < 1 or (shard_rows is not None and shard_rows < 1):
            raise UserError(f"d_model and shard_rows must be at least 1, got {d_model} and {shard_rows}")
        self._folder = Path(folder)
        self._budget = shard_rows or max(1, SHARD_BYTES // (len(points) * d_model * dtype.itemsize))
        self._seconds = shard_seconds
        with writing(self._folder, "to it"):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock_folder(self._folder)
        try:
            self._manifest, self.done = begin(
                self._folder, tuple(map(str, points)), d_model, names[dtype], key, meta or {}
            )
        except BaseException:
            self._lock.close()
            raise
        self._columns = dict(self._manifest.columns)
        self._waiting: list[Unit] = []
        self._waiting_rows = 0
        self._rooms = [Room(SHARD_BYTES), Room(SHARD_BYTES)]  # of the rows that wait; of those being written
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
        unit = make_unit(self._manifest, self._columns, self._rooms[0], activations, rows)
        keys = unit.columns[self._manifest.key].distinct()
        twice = [key for key in keys if key in self.done]
        if twice:
            raise UserError(f"store {self._folder} already has {self._manifest.key} {show(twice)}")
        if not len(unit):
            return
        self._columns = unit.kinds
        self._waiting.append(unit)
        self.done.update(keys)
        late = time.monotonic() - self._flushed_at > self._seconds
        self._waiting_rows += len(unit)
        if late or self._waiting_rows >= self._budget:
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

    def _send(self) -> None:
        """Hand what is waiting to the thread, when it is done with what it had."""
        self._wait()
        self._flushed_at = time.monotonic()
        if self._waiting:
            units, self._waiting, self._waiting_rows = self._waiting, [], 0
            self._rooms.reverse()
            self._rooms[0].clear()
            self._pending = self._thread.submit(self._save, units)

    def _wait(self) -> None:
        if self._pending is not None:
            try:
                self._pending.result()
            except Exception:
                self._state = "failed"
                raise
            self._pending = None

    def _save(self, units: list[Unit]) -> None:
        """Write a shard, then the manifest that lists it: rows are stored from that moment."""
        manifest, name = self._manifest, self._manifest.next_shard
        with writing(self._folder, name):
            written = replace_file(self._folder / name, shard_pieces(manifest.points, units))
            entry = ShardEntry(
                file=name, rows=sum(map(len, units)), bytes=written.size, xxh128=written.xxh128
            )
            listed = manifest.model_copy(
                update={"columns": units[0].kinds, "shards": (*manifest.shards, entry)}
            )
            write_manifest(self._folder, listed)
        self._manifest = listed

    def _check_open(self) -> None:
        if self._state == "closed":
            raise UserError(f"the writer of store {self._folder} is closed: open another")
        if self._state == "failed":
            raise UserError(f"store {self._folder} could not be written: open it again to go on")
