"""Parts of a job that can be killed: each is finished and kept whole, or it is made again."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from undertext.activations.errors import UserError
from undertext.activations.files import read_json
from undertext.activations.store.disk import LOCK, lock_folder, replace_file
from undertext.core.output import json_bytes, remove_abandoned
from undertext.core.packing import pack, unpack

FOLDER, JOB = "parts", "job.json"
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


class JobFolder:
    """The folder `out`/parts: of which job it is, a lock, and the finished parts.

    The folder goes when the job is finished. A folder without its job.json is what a kill has left of one
    that was being removed: its parts count for nothing.
    """

    def __init__(self, out: Path) -> None:
        self.out, self._folder = out, out / FOLDER

    def check(self, job: Mapping[str, Any]) -> None:
        """UserError when the folder holds parts of another job than `job`, saying where they differ."""
        if not (self._folder / JOB).exists():
            return
        before, now = read_json(self._folder / JOB), json.loads(json_bytes(job))
        differ = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
        if differ:
            shown = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differ[:3])
            raise UserError(
                f"{self.out} holds an unfinished job of another config: {shown}. Give another folder, or the "
                f"config it was begun with, or delete {self._folder}"
            )

    @contextmanager
    def open(self, job: Mapping[str, Any]) -> Iterator[None]:
        """The body with the folder to itself, and the job written down in it."""
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = lock_folder(self._folder)
        try:
            self.check(job)
            with self._writing():
                if not (self._folder / JOB).exists():
                    self._clear(self._folder)
                remove_abandoned(self.out)
                replace_file(self._folder / JOB, [json_bytes(job)])
            yield
        finally:
            lock.close()

    def read(self, key: str) -> tuple[Any] | None:
        """What a finished part made, None while it is not finished; UserError where its file is damaged."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return (unpack(path.read_bytes()),)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): delete it, and it is made again") from error

    def write(self, key: str, value: Any) -> None:
        """Keep what a part made, whole or not at all; what it kept on its way is removed."""
        with self._writing():
            self._path(key).parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path(key), [pack(value)])
            shutil.rmtree(self.scratch(key), ignore_errors=True)

    def scratch(self, key: str) -> Path:
        """A folder in which an unfinished part may keep what it has so far. It is not made here."""
        return self._folder / f"{key}.rows"

    def finish(self) -> None:
        """Remove the folder: the job's results are where the user wants them. For whoever has it open."""
        with self._writing():
            (self._folder / JOB).unlink(missing_ok=True)
            self._clear(self._folder)
            (self._folder / LOCK).unlink(missing_ok=True)
            self._folder.rmdir()

    @staticmethod
    def _clear(folder: Path) -> None:
        for each in folder.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
            elif each.name != LOCK:
                each.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.part"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write to {self._folder}: {error.strerror or error}") from error
