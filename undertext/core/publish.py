"""A run's files on their way to where the user wants them: whole or not at all."""

import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from time import time
from types import FrameType

from undertext.activations.errors import UserError
from undertext.activations.store.disk import replace_file
from undertext.core.output import LAST, OURS, PAGE, RESULT, RUN, VERDICT

STAGING = ".undertext-"
"""Beginning of the names of temporary folders; the host and the process that made the folder follow."""
MIB, DAY = 1 << 20, 24 * 3600
ROOM = 32 * MIB
"""Bytes that a job's report takes, with room to spare."""
MOST_LINKED = 10_000
"""A folder that holds more than this beside a run is no run's folder, and is left where it is."""


def check_writable(out: Path, room: int = ROOM) -> None:
    """Raise UserError where `out` could not be made or written, or the disk has less than `room` bytes free;
    leaves nothing behind.

    A folder is made and removed for this, since mode bits do not say what root, a read-only file
    system or /proc allow.
    """
    with _as_user_error(out), _interrupts_deferred(), _staging(out) as staging:
        _check_names(out)
        free = shutil.disk_usage(staging).free
    if free < room:
        raise UserError(
            f"expected {room / MIB:,.0f} MiB or more free on the disk of {out}, got {free / MIB:,.1f} MiB: "
            "free some, or give a folder on another disk"
        )


def publish(files: Mapping[str, bytes], out: Path, *, drop: Collection[str] = ()) -> Path:
    """Put `files`, by path relative to `out`, in place, and return `out`.

    A new `out` appears by one rename. A run (`files` with a run.json) takes the place of an earlier one by
    one rename too: a fresh folder, into which all else of `out` but the names `drop` is linked, changes
    places with `out`. Where the system cannot do that, or somebody stands in `out`, each file is moved on
    its own; the earlier run's result goes first then, and the new one comes last, so that `Result.load`
    finds one run whole or none. What an earlier run left in `OURS` and this one has not is removed; other
    files stay as they are. An interrupt waits until that is done. Raises UserError where `out` cannot be
    written.
    """
    swap = RUN in files and _swappable(out)
    with _as_user_error(out), _interrupts_deferred(), _staging(out, beside=swap) as staging:
        _check_names(out)
        run = staging / "run"  # not `staging` itself, which only its owner may enter
        for name, data in files.items():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            replace_file(run / name, [data])
        if not out.is_dir():
            out.parent.mkdir(parents=True, exist_ok=True)
            os.rename(run, out)
        elif not (swap and _swapped(run, list(files), out, drop)):
            _move_into(run, list(files), out)
    return out


def _move_into(run: Path, names: list[str], out: Path) -> None:
    stale = _listed(out) - set(names)
    if RUN in names:  # the list of what is to be cleared goes when that is cleared
        for old in (VERDICT, RESULT, *sorted(stale), PAGE, RUN):
            (out / old).unlink(missing_ok=True)
    for name in sorted(names, key=lambda name: LAST.index(name) if name in LAST else -1):
        (out / name).parent.mkdir(exist_ok=True)
        os.replace(run / name, out / name)


def _swappable(out: Path) -> bool:
    """Whether another folder may take the place of `out`: this process does not work in it, and it is no
    mount."""
    try:
        real, here = out.resolve(), Path.cwd()
        return out.is_dir() and not os.path.ismount(real) and real not in (here, *here.parents)
    except OSError:
        return False


def _swapped(run: Path, names: list[str], out: Path, drop: Collection[str]) -> bool:
    """Link what else is in `out` into `run`, and let the two change places; False where that cannot be."""
    left = {*names, *LAST, PAGE, *drop, *_listed(out)}
    try:
        count = 0
        for top, folders, files in os.walk(out.resolve(), onerror=_raised):
            at = Path(top).relative_to(out.resolve())
            links = [name for name in folders if Path(top, name).is_symlink()]
            folders[:] = [
                name
                for name in folders
                if name not in links and str(at / name) not in left and not name.startswith(STAGING)
            ]
            count += len(folders) + len(files)
            if count > MOST_LINKED or any(os.path.ismount(Path(top, name)) for name in folders):
                return False
            for name in folders:
                (run / at / name).mkdir(exist_ok=True)
            for name in (*links, *files):
                if str(at / name) not in left:
                    os.link(Path(top, name), run / at / name, follow_symlinks=False)
            shutil.copymode(top, run / at)
        _exchange(run, out.resolve())
    except (OSError, NotImplementedError):
        return False
    return True


def _raised(error: OSError) -> None:
    raise error


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change places in one step (Linux); OSError where system or file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if renameat2(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(exchange)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _listed(out: Path) -> set[str]:
    """Files of an earlier run in `out` that may be cleared; none where its list cannot be read."""
    try:
        names = json.loads((out / RUN).read_text(encoding="utf-8"))["files"]
        return {name for name in names if Path(name).parent in map(Path, OURS)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextmanager
def _staging(out: Path, beside: bool = False) -> Iterator[Path]:
    """A temporary folder in the nearest folder there is: `out` itself, or one above it; or `beside` it.

    That is the file system `out` is or will be on, so that what is in it can be moved by a rename.
    """
    if out.is_symlink() and not out.exists():
        raise UserError(f"expected a folder to write to, got {out}, a link to nothing")
    home = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not home.is_dir():
        where = "" if home == out else f"below {home}, "
        raise UserError(f"expected a folder to write to, got {out}, {where}a file")
    for folder in {home, out.resolve().parent}:
        remove_abandoned(folder)
    prefix = f"{STAGING}{socket.gethostname()}-{os.getpid()}-"
    try:
        staging = Path(mkdtemp(prefix=prefix, dir=out.resolve().parent if beside else home))
    except PermissionError:  # the folder above is not ours to write
        staging = Path(mkdtemp(prefix=prefix, dir=home))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary folders in `folder` whose process was killed, on this host or a day ago, before
    it could."""
    host = f"{STAGING}{socket.gethostname()}-"
    for left in folder.glob(f"{STAGING}*"):
        owner = left.name.removeprefix(host).partition("-")[0]
        with suppress(OSError):
            if (owner.isdigit() and not _runs(int(owner))) or time() - left.stat().st_mtime > DAY:
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
