"""The folder of a long job: whose it is, and that nobody else writes in it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from activations.errors import UserError
from activations.files import read_json
from activations.store.disk import lock_folder, replace_file
from undertext.report.save import json_bytes

PARTS, JOB = "parts", "job.json"


class JobFolder:
    """Where a job that is written to `out` keeps what it has finished: `out`/parts, with its job.json."""

    def __init__(self, out: Path) -> None:
        self.folder = out / PARTS

    def check(self, job: Mapping[str, Any]) -> None:
        """UserError when the folder is of another job than `job`, saying where they differ."""
        if not (self.folder / JOB).exists():
            return
        before, now = read_json(self.folder / JOB), json.loads(json_bytes(job))
        differ = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
        if differ:
            shown = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differ[:3])
            raise UserError(
                f"{self.folder.parent} holds a job of another config: {shown}. Give another folder, or the "
                "config it was begun with"
            )

    @contextmanager
    def open(self, job: Mapping[str, Any]) -> Iterator[None]:
        """The body with the folder to itself, and the job written down in it."""
        with self.writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = lock_folder(self.folder)
        try:
            self.check(job)
            with self.writing():
                replace_file(self.folder / JOB, [json_bytes(job)])
            yield
        finally:
            lock.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What the system refuses in the body as a UserError."""
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write to {self.folder}: {error.strerror or error}") from error
