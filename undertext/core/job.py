"""The frame around every job: first checks, parts that are run or resumed, results that are written."""

import errno
import json
import platform
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import torch
from pydantic import BaseModel

from undertext.activations.errors import UserError, shown
from undertext.activations.heap import trim_heap
from undertext.core.config import WORK_ONLY, given_command
from undertext.core.engine import Engine, engine_of
from undertext.core.memory import forget_peak
from undertext.core.output import PAGE, RESULT, VERDICT, json_bytes
from undertext.core.plan import Draft, Planned, planning
from undertext.core.planner import make_plan
from undertext.core.progress import Progress
from undertext.core.publish import ROOM, check_writable, publish
from undertext.core.result import NotSaved, Result, read_files, read_run
from undertext.core.resume import FOLDER, JobFolder, Part, differences
from undertext.core.setup import threads, versions
from undertext.core.shared import digest_of, sharing
from undertext.core.stored import Stored

R = TypeVar("R", bound=Result)
finished_stays: ContextVar[Path | None] = ContextVar("finished_stays", default=None)
"""Folder whose job is not done again where it is finished there: that of a command. None, as for a call from
Python, does every job again."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""What the system says where a disk, a quota or the largest file is full, or the disk fails."""


@contextmanager
def job_run(
    name: str, config: BaseModel, out: str | Path | None, progress: bool | Progress | None
) -> "Iterator[JobRun]":
    """The body as one run of the job `name`: with its threads, and its folder to itself. A job that is only
    planned (`planning`) has no folder.

    Raises UserError, before anything else, where `out` cannot be written, has no room or is another run's;
    and where the disk is full, whatever was being written.
    """
    folder = None if out is None else Path(out)
    with ExitStack() as stack:
        kept = None
        if planning.get():
            forget_peak()  # of a run of a grid that was planned before
        if folder is not None and not planning.get():
            check_writable(folder)
            kept = JobFolder(folder)
            stack.enter_context(kept.open())
        stack.enter_context(threads(getattr(config, "threads", None)))
        engine = stack.enter_context(engine_of(config, JobRun))
        try:
            yield JobRun(name, config, folder, kept, Progress.of(progress), engine)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise UserError(
                f"cannot write {shown(error.filename or out or 'a file')}: {error.strerror}. What is "
                "finished is kept, and the same command goes on from there"
            ) from error


class FinishedBefore(Exception):
    """The very job that is asked for is finished in its folder (`finished_stays`)."""


class JobRun:
    """One run of a job. With no folder, parts are made and nothing is kept."""

    def __init__(
        self,
        name: str,
        config: BaseModel,
        out: Path | None,
        folder: JobFolder | None,
        bars: Progress,
        engine: Engine | None = None,
    ) -> None:
        self.bars, self.out = bars, out
        self._engine = engine
        self._store: Stored | None = None
        self._config, self._folder, self._start = config, folder, perf_counter()
        self._began = datetime.now(UTC).isoformat(timespec="seconds")
        self._name = name
        self._job: dict[str, Any] = {"job": name}
        self.shared = sharing.get()
        """What this job has in common with others of one call; None where there are no others."""

    def plan(self, draft: Callable[[], Draft]) -> None:
        """Where jobs are only planned, end this one with its plan (`Planned`); else nothing. Called before
        `begin`, once all that is given is found good.
        """
        if planning.get():
            raise Planned([make_plan(self._name, self._config, draft())])

    def begin(self, *, room: int = 0, **inputs: Any) -> bool:
        """Write down which job this is, once its inputs are known: `inputs` are what results depend on, and
        `room` is how many bytes the job will write beside its report. True where another job is replaced.

        Raises UserError when the folder holds a report or parts of another job and the config does not say
        `overwrite`, and when the disk has no such room. Raises FinishedBefore where `finished_stays` says so.
        """
        if planning.get():
            raise RuntimeError(f"{self._name} begins, and was only to be planned")
        self._job |= {"config": self._config.model_dump(mode="json", exclude=set(WORK_ONLY)), **inputs}
        self._job["undertext"] = versions()["undertext"]
        if (url := getattr(self._config, "store", None)) is not None:
            self._store = Stored(url, f"{self._name.replace(' ', '-')}-{digest_of(self._job)[:16]}")
            self._store.check_writable()
        if self._folder is None or self.out is None:
            return False
        if finished_stays.get() == self.out and self._folder.unbegun(self._job) and self._is_finished():
            if self._store is not None and not self._store.holds_result():
                self._store.publish(read_files(self.out))
            self._folder.finish()
            raise FinishedBefore
        other = self._folder.begin(self._job, getattr(self._config, "overwrite", False))
        check_writable(self.out, ROOM + room)
        return other

    def finished(self, kind: type[R]) -> R | None:
        """The result of this very job where an earlier call that shared work has written it; None otherwise.

        A job by itself is done again whenever it is asked for.
        """
        if self.shared is None or self._folder is None or self.out is None:
            return None
        try:
            result = kind.load(self.out)
        except UserError:
            return None
        if differences({key: result.run.get(key) for key in self._job}, json.loads(json_bytes(self._job))):
            return None
        self._folder.finish()
        return result

    def _is_finished(self) -> bool:
        """Whether the folder holds the whole result of this very job, with nothing in it that failed."""
        assert self.out is not None
        try:
            summary, _, run = read_run(self.out, VERDICT if (self.out / VERDICT).is_file() else RESULT)
        except UserError:
            return False
        if summary.get("failed") or not (self.out / PAGE).is_file():
            return (
                False  # what failed of a job of several is tried again, and a page that was removed is made
            )
        return not differences({key: run.get(key) for key in self._job}, json.loads(json_bytes(self._job)))

    def make(self, parts: Sequence[Part]) -> list[Any]:
        """What each part makes, in order; those that an earlier run has finished, or a job that shares work
        with this one, are read.

        Parts of one call are independent of one another: an engine runs them side by side.
        """
        if self._engine is None:
            return [self._made(part) for part in parts]
        made = {part.key: kept[0] for part in parts if (kept := self._found(part)) is not None}

        def done(part: Part, value: Any) -> None:
            self._keep(part, value)
            made[part.key] = value

        if missing := [part for part in parts if part.key not in made]:
            self._engine.make(missing, self._store, done, self.bars)
        return [made[part.key] for part in parts]

    def scratch(self, key: str) -> Path | None:
        """A folder in which the part `key` may keep what it has so far; None where nothing is kept."""
        return None if self._folder is None else self._folder.scratch(key)

    def _made(self, part: Part) -> Any:
        if (kept := self._found(part)) is not None:
            return kept[0]
        with self.bars.stage(part.stage or part.key, part.units) as done:
            value = part.make(done)
            trim_heap()
        if self._store is not None:
            self._store.write(part.key, value)
        self._keep(part, value)
        return value

    def _found(self, part: Part) -> tuple[Any] | None:
        """What an earlier run, or a job that shares work with this one, has made of a part."""
        kept = None if self._folder is None else self._folder.read(part.key)
        if kept is None and self._store is not None:
            kept = self._store.read(part.key)
        if kept is None and part.of is not None and self.shared is not None:
            kept = self.shared.read(part.key, part.of)
        return kept

    def _keep(self, part: Part, value: Any) -> None:
        """Keep what a part made in this machine's folders; what is in a store is not kept twice."""
        if self._folder is not None and self._store is None:
            self._folder.write(part.key, value)
        if part.of is not None and self.shared is not None:
            self.shared.write(part.key, part.of, value)

    def record(self, **more: Any) -> dict[str, Any]:
        """run.json: which job it was, who made it when and where, with which versions, and how long it
        took."""
        count = getattr(self._config, "threads", None)
        return {
            **self._job,
            "config": self._config.model_dump(mode="json", exclude={"overwrite"}),
            **more,
            "made": {
                "command": given_command.get() or "called from Python",
                "began": self._began,
                "host": socket.gethostname(),
                "device": getattr(self._config, "device", None),
                "dtype": getattr(self._config, "dtype", None),
            },
            "versions": versions(),
            "machine": {"processor": platform.machine(), "threads": count or torch.get_num_threads()},
            "timings_s": {name: round(seconds, 3) for name, seconds in self.bars.timings.items()},
            "elapsed_s": round(perf_counter() - self._start, 3),
        }

    def finish(self, kind: type[R], summary: Mapping[str, Any], tables: Mapping[str, Any], **more: Any) -> R:
        """The result, written where there is a folder; then the parts have served and are removed.

        Raises NotSaved, with the result, where it cannot be written.
        """
        result = kind(summary, tables, self.record(**more), self.out)
        kept = self.out is not None and self._folder is not None
        files = result.files() if kept or self._store is not None else {}
        try:
            if self.out is not None and self._folder is not None:
                publish(files, self.out, drop=(FOLDER,))
                self._folder.finish()
            if self._store is not None:
                self._store.publish(files)
        except UserError as error:
            raise NotSaved(error, replace(result, at=None)) from error
        return result
