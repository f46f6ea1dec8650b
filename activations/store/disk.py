"""Writing files so that a kill, or a full disk, at any moment leaves the old state or the new one whole."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import NamedTuple

import xxhash

from undertext.activations.errors import UserError

Piece = bytes | memoryview
LOCK = "write.lock"
PART = 1 << 20  # hashed and written at a time, in bytes: small enough for the cache
EARLY = 4 << 20  # how many bytes are worth a sync while more is written


class Written(NamedTuple):
    """What a file holds: its length in bytes and their checksum (XXH3, 128 bits, hex)."""

    size: int
    xxh128: str


def replace_file(path: Path, pieces: Sequence[Piece]) -> Written:
    """Put `pieces`, one after the other, under the name `path`, which never shows a part of them.

    They go to `path`.tmp, are synced, and take the final name in one rename, which is synced too.
    OSError when the disk refuses; the temporary file is then gone and `path` is as it was.
    """
    partial = path.with_name(path.name + ".tmp")
    try:
        with partial.open("wb") as file:
            written = _write_synced(file, pieces)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return written


def _write_synced(file: BufferedWriter, pieces: Sequence[Piece]) -> Written:
    """Write all, and return when it is on the disk.

    The system would begin to write a file out at the sync, and let the disk idle until then: a thread
    syncs what there is while more is copied. Each part is hashed while it is in the processor's cache.
    """
    digest = xxhash.xxh3_128()
    early: Future[None] | None = None
    with ThreadPoolExecutor(1) as pool:
        waiting = 0
        for piece in pieces:
            for start in range(0, len(piece), PART):
                part = memoryview(piece)[start : start + PART]
                digest.update(part)
                file.write(part)
                waiting += len(part)
                if waiting >= EARLY and (early is None or early.done()):
                    if early is not None:
                        early.result()
                    early, waiting = pool.submit(os.fsync, file.fileno()), 0
    # The system tells of a failed write once, to the sync that meets it.
    if early is not None:
        early.result()
    file.flush()
    os.fsync(file.fileno())
    return Written(file.tell(), digest.hexdigest())


def checksum(path: Path) -> str:
    """XXH3 (128 bits, hex) of a file's bytes."""
    digest = xxhash.xxh3_128()
    part = bytearray(PART)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(part):
            digest.update(memoryview(part)[:count])
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` as durable as the files behind them."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_folder(folder: Path, what: str = "store") -> BufferedWriter:
    """The folder's lock file, held until it is closed or the process dies; UserError when another holds it.

    The file itself stays: were it removed, a third writer could lock a new one beside a holder of the old.
    """
    file = (folder / LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(f"{what} {folder} is being written by another writer: wait until it ends") from error
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def writing(folder: Path, what: str) -> Iterator[None]:
    """Turn the operating system's refusals (full disk, no permission) into a UserError."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(
            f"store {folder}: cannot write {what}: {why}. What it held before is kept; "
            "open it again to go on with what is missing"
        ) from error
