"""A run's files as bytes, and their way to where the user wants them: whole or not at all."""

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from undertext.activations.errors import UserError

PAGE = "report.html"
RUN = "run.json"
"""Lists the run's files under `files`, so that the next run into the same folder can clear them."""
RESULT, VERDICT = "result.json", "verdict.json"
"""What a job found; `compare` calls it verdict.json."""
LAST = (RUN, RESULT, VERDICT)
"""Put in place last, in this order: who finds result.json or verdict.json finds all the rest."""
FIGURES, TABLES = "figures", "tables"
OURS = (FIGURES, TABLES)
"""Folders of a run in which files of an earlier run are cleared."""
STAGING = ".undertext-"
"""Beginning of the names of temporary folders; the host and the process that made the folder follow."""


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """`values` as JSON; a number that is not finite becomes null, and what JSON has no form for its text."""
    text = json.dumps(plain(values), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    return encoded(text + "\n")


def plain(value: Any) -> Any:
    """`value` as JSON has it: keys that are text, lists, and null for a number that is not finite."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(part) for part in value]
    return value


def encoded(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which a path can hold, becomes its escape."""
    return text.encode("utf-8", "backslashreplace")


def parquet(table: pa.Table) -> bytes:
    """The table as a parquet file."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return bytes(buffer.getvalue())


def check_writable(out: Path) -> None:
    """Raise UserError where `out` could not be made or written; leaves nothing behind.

    A folder is made and removed for this, since mode bits do not say what root, a read-only file
    system or /proc allow.
    """
    with _as_user_error(out), _interrupts_deferred(), _staging(out):
        _check_names(out)


def publish(files: Mapping[str, bytes], out: Path) -> Path:
    """Put `files`, by path relative to `out`, in place, and return `out`.

    A new `out` appears by one rename. Into one that exists each file is moved on its own, `LAST`
    last, and what an earlier run left in `OURS` and this one has not is removed; other files stay
    as they are. An interrupt waits until that is done. Raises UserError where `out` cannot be written.
    """
    with _as_user_error(out), _interrupts_deferred(), _staging(out) as staging:
        _check_names(out)
        run = staging / "run"  # not `staging` itself, which only its owner may enter
        for name, data in files.items():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_bytes(data)
        if out.is_dir():
            _move_into(run, list(files), out)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            os.rename(run, out)
    return out


def _move_into(run: Path, names: list[str], out: Path) -> None:
    stale = _listed(out) - set(names)
    for name in sorted(names, key=lambda name: LAST.index(name) if name in LAST else -1):
        if name == LAST[0]:
            for old in stale:
                (out / old).unlink(missing_ok=True)
        (out / name).parent.mkdir(exist_ok=True)
        os.replace(run / name, out / name)


def _listed(out: Path) -> set[str]:
    """Files of an earlier run in `out` that may be cleared; none where its list cannot be read."""
    try:
        names = json.loads((out / RUN).read_text(encoding="utf-8"))["files"]
        return {name for name in names if Path(name).parent in map(Path, OURS)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A temporary folder in the nearest folder there is: `out` itself, or one above it.

    That is the file system `out` is or will be on, so that what is in it can be moved by a rename.
    """
    if out.is_symlink() and not out.exists():
        raise UserError(f"expected a folder to write to, got {out}, a link to nothing")
    home = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not home.is_dir():
        where = "" if home == out else f"below {home}, "
        raise UserError(f"expected a folder to write to, got {out}, {where}a file")
    remove_abandoned(home)
    staging = Path(mkdtemp(prefix=f"{STAGING}{socket.gethostname()}-{os.getpid()}-", dir=home))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary folders in `folder` whose process was killed, on this host, before it could."""
    host = f"{STAGING}{socket.gethostname()}-"
    for left in folder.glob(f"{host}*"):
        owner = left.name.removeprefix(host).partition("-")[0]
        if owner.isdigit() and not _runs(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 is not sent: it asks whether the process is there
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _check_names(out: Path) -> None:
    """Raise UserError where something of the user's in `out` has a name that a run needs."""
    for name in OURS:
        if (out / name).exists() and not (out / name).is_dir():
            raise UserError(f"expected {out / name} to be a folder, or not there, got a file")
    for name in (*LAST, PAGE):
        if (out / name).is_dir():
            raise UserError(f"expected {out / name} to be a file, or not there, got a folder")


@contextmanager
def _as_user_error(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror or error}") from error


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the end of the block; then they act as they would have.

    Signals reach the main thread alone, so on any other there is nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, keep)
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: set outside Python, which cannot be put back
                signal.signal(number, handler)
    for number in came[:1]:
        signal.raise_signal(number)
