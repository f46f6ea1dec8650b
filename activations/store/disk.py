"""Writing files so that a kill, or a full disk, at any moment leaves the old state or the new one whole."""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import NamedTuple

from activations.errors import UserError

Piece = bytes | memoryview
LOCK = "write.lock"


class Written(NamedTuple):
    """What a file holds: its length in bytes and the SHA-256 of them (hex)."""

    size: int
    sha256: str


def replace_file(path: Path, pieces: Sequence[Piece]) -> Written:
    """Put `pieces`, one after the other, under the name `path`, which never shows a part of them.

    They go to `path`.tmp, are synced, and take the final name in one rename, which is synced too.
    OSError when the disk refuses; the temporary file is then gone and `path` is as it was.
    """
    partial = path.with_name(path.name + ".tmp")
    # Hashing takes about as long as writing; both let go of the interpreter, so they run side by side.
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(_sha256, pieces)
        try:
            with partial.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                size = file.tell()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)
    return Written(size, hashed.result())


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` as durable as the files behind them."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_folder(folder: Path) -> BufferedWriter:
    """The folder's lock file, held until it is closed or the process dies; UserError when another holds it.

    The file itself stays: were it removed, a third writer could lock a new one beside a holder of the old.
    """
    file = (folder / LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(f"store {folder} is being written by another writer: wait until it ends") from error
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


def _sha256(pieces: Sequence[Piece]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
