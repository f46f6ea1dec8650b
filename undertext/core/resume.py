"""Parts of a job that can be killed: each is finished and kept whole, or it is made again."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Any, NamedTuple

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line, read_json
from undertext.activations.store.disk import LOCK, lock_folder, replace_file
from undertext.core.config import WORK_ONLY
from undertext.core.output import LAST, PAGE, RUN, json_bytes
from undertext.core.packing import pack, unpack

FOLDER, JOB = "parts", "job.json"
_FINGERPRINT = re.compile("[0-9a-f]{16,64}")
MOST_BYTES = 4 << 30
"""No part comes near this size; what does would fill the memory when it is read."""
Done = Callable[[int], None]
"""Called with the number of units finished since its last call."""


class Part(NamedTuple):
    """One piece of a job's work: run, kept and resumed as a whole, and independent of the parts beside it."""

    key: str
    """Its name, and its file below `out`/parts: words of letters, digits, `_`, `-`, `+` and `.`, with `/`
    between them."""
    make: Callable[[Done], Any]
    """Does the work and returns what `pack` can keep."""
    units: int | None = None
    """How many units `make` will report; None shows no total."""
    stage: str | None = None
    """What the progress bar and `timings_s` call the work; None takes the key."""
    of: Mapping[str, Any] | None = None
    """All that its value depends on beside the key, as plain values, where other jobs make the same
    (`core.shared`)."""
    gpus: int | None = None
    """Number of GPUs that it takes on another machine; None takes as many as the job's config says."""


class JobFolder:
    """The folder `out`/parts: of which job it is, a lock, and the finished parts.

    The folder goes when the job is finished. A folder without its job.json is what a kill has left of one
    that was being removed: its parts count for nothing.
    """

    def __init__(self, out: Path) -> None:
        self.out, self._folder = out, out / FOLDER

    @contextmanager
    def open(self) -> Iterator[None]:
        """The body with the folder to itself; UserError where another job writes there.

        What was made for this is gone afterwards, unless a job has begun.
        """
        made = [path for path in (self.out, *self.out.parents) if not path.exists()]
        with writing(self._folder):
            self._lock = self._locked()
        try:
            yield
        finally:
            if self._held() and not (self._folder / JOB).exists():
                self._remove()
                for path in made:
                    if path.is_dir() and not any(path.iterdir()):
                        path.rmdir()
            self._lock.close()

    def begin(self, job: Mapping[str, Any], overwrite: bool = False) -> bool:
        """Write the job down, and say whether results or parts of another one are to be replaced.

        Raises UserError where the folder above holds a report of other settings, or this one parts of
        another job, saying where they differ; with `overwrite` both may go.
        """
        now = json.loads(json_bytes(job))
        begun = (self._folder / JOB).exists()
        report = self._other_report(now, begun)
        unfinished = differences(self._read_json(self._folder / JOB), now) if begun else ""
        if report and not overwrite:
            raise UserError(f"{report}. Give another folder, or overwrite it (--overwrite True)")
        if unfinished and not overwrite:
            raise UserError(
                f"{shown(self.out)} holds an unfinished job of another config: {unfinished}. Give another "
                "folder, the config it was begun with, or overwrite it (--overwrite True), or delete "
                f"{shown(self._folder)}"
            )
        with writing(self._folder):
            if unfinished or not begun:
                self._clear()
            replace_file(self._folder / JOB, [json_bytes(job)])
        return bool(report or unfinished)

    def unbegun(self, job: Mapping[str, Any]) -> bool:
        """Whether no other job than this has parts here."""
        if not (self._folder / JOB).exists():
            return True
        return not differences(self._read_json(self._folder / JOB), json.loads(json_bytes(job)))

    def read(self, key: str) -> tuple[Any] | None:
        """What a finished part made, None while it is not finished; UserError where its file is damaged."""
        return read_part(self._path(key))

    def write(self, key: str, value: Any) -> None:
        """Keep what a part made, whole or not at all; what it kept on its way is removed."""
        with writing(self._folder):
            write_part(self._path(key), value)
            shutil.rmtree(self.scratch(key), ignore_errors=True)

    def scratch(self, key: str) -> Path:
        """A folder in which an unfinished part may keep what it has so far. It is not made here."""
        return self._folder / f"{key}.rows"

    def finish(self) -> None:
        """Remove the folder: the job's results are where the user wants them. For whoever has it open."""
        if self._held():  # else it went with the folder that the results took the place of
            with writing(self._folder):
                (self._folder / JOB).unlink(missing_ok=True)
                self._remove()

    def _locked(self) -> BufferedWriter:
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock = lock_folder(self._folder, "job folder")
            except FileNotFoundError:
                continue
            if self._held():
                return self._lock
            self._lock.close()  # another job ended, and took the file that was locked here with it

    def _held(self) -> bool:
        """Whether the lock file in the folder is the one that this process holds."""
        try:
            return os.path.samestat(os.fstat(self._lock.fileno()), (self._folder / LOCK).stat())
        except OSError:
            return False

    def _other_report(self, now: Mapping[str, Any], begun: bool) -> str:
        """What a report in `out` has to do with other settings than `now`; empty for none."""
        theirs = [name for name in (*LAST, PAGE) if (self.out / name).exists()]
        if RUN in theirs:
            before = self._read_json(self.out / RUN)
            differ = differences({key: before.get(key) for key in now}, now, but=("undertext",))
            return f"{shown(self.out)} holds a report of other settings: {differ}" if differ else ""
        if theirs and not begun:
            return f"{shown(self.out / theirs[0])} is there, without {RUN} to say of which job"
        return ""

    @staticmethod
    def _read_json(path: Path) -> Mapping[str, Any]:
        """What a file says of its job: nothing that any job says, where the file is damaged."""
        try:
            return read_json(path)
        except UserError as error:
            return {"job": f"damaged ({error})"}

    def _clear(self) -> None:
        for each in self._folder.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            elif each.name != LOCK:
                each.unlink()

    def _remove(self) -> None:
        self._clear()
        (self._folder / LOCK).unlink(missing_ok=True)
        self._folder.rmdir()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.part"


def read_part(path: Path) -> tuple[Any] | None:
    """The value that a file holds, None where there is no file; UserError where it is damaged."""
    if not path.exists():
        return None
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise ValueError(f"no file of {MOST_BYTES:,} bytes or less")
        return (unpack(path.read_bytes()),)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{shown(path)} cannot be read ({one_line(error)}): delete it, and it is made again"
        ) from error


def write_part(path: Path, value: Any) -> None:
    """Put a value into a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, [pack(value)])


def differences(before: Mapping[str, Any], now: Mapping[str, Any], but: tuple[str, ...] = ()) -> str:
    """Where two records of a job differ, in words; empty where they do not. Keys that only change how the
    work is done, and those in `but`, do not count."""
    old, new = flattened(before), flattened(now)
    if old.get("job") != new.get("job"):  # all else of another job differs
        old, new = {"job": old.get("job")}, {"job": new.get("job")}
    differ = [
        key
        for key in sorted({*old, *new})
        if key.removeprefix("config.") not in WORK_ONLY and key not in but and old.get(key) != new.get(key)
    ]
    said = [_differ(key, old.get(key), new.get(key)) for key in differ]
    return "; ".join([*said[:3], *([f"and {len(said) - 3} more"] if len(said) > 3 else [])])


def _differ(key: str, before: Any, now: Any) -> str:
    """One value in which two records differ. A fingerprint tells nobody what it is of: the key does."""
    if all(isinstance(each, str) and _FINGERPRINT.fullmatch(each) for each in (before, now)):
        return f"{key.removesuffix('.fingerprint')} has other content (fingerprint {before}, now {now})"
    return f"{key} was {shown(repr(before), 100)}, is {shown(repr(now), 100)}"


def flattened(value: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted keys."""
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat |= (
            flattened(part, f"{above}{key}.")
            if isinstance(part, Mapping) and part
            else {f"{above}{key}": part}
        )
    return flat


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into `folder` into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {shown(folder)}: {error.strerror or one_line(error)}. What is finished is "
            "kept, and the same command goes on from there"
        ) from error
