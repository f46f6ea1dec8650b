"""The folder of a job that can be killed: of which job it is, and its parts, each whole or not there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from activations.errors import UserError
from activations.files import read_json
from activations.store.disk import lock_folder, replace_file
from undertext.report.save import json_bytes

FOLDER, JOB = "parts", "job.json"


class JobFolder:
    """Files by name below `out`/parts."""

    def __init__(self, out: Path) -> None:
        self._folder = out / FOLDER

    def check(self, job: Mapping[str, Any]) -> None:
        """UserError when the folder holds parts of another job than `job`, saying where they differ."""
        if not (self._folder / JOB).exists():
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

    def path(self, name: str) -> Path:
        """Where a part is, or will be."""
        return self._folder / name

    def write(self, name: str, data: bytes) -> None:
        """A part, whole or not at all."""
        with self._writing():
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path(name), [data])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write to {self._folder}: {error.strerror or error}") from error
