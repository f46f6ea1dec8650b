"""The frame around every job: first checks, parts that are run or resumed, results that are written."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import torch
from pydantic import BaseModel

from undertext.core.config import WORK_ONLY
from undertext.core.output import check_writable
from undertext.core.progress import Progress
from undertext.core.result import Result
from undertext.core.resume import JobFolder, Part
from undertext.core.setup import threads, versions

R = TypeVar("R", bound=Result)


@contextmanager
def job_run(
    name: str, config: BaseModel, out: str | Path | None, progress: bool | Progress | None
) -> "Iterator[JobRun]":
    """The body as one run of the job `name`: with its threads, and its folder to itself from `begin` on.

    Raises UserError where `out` cannot be written, before anything else.
    """
    folder = None if out is None else Path(out)
    if folder is not None:
        check_writable(folder)
    with ExitStack() as stack:
        stack.enter_context(threads(getattr(config, "threads", None)))
        yield JobRun(name, config, folder, Progress.of(progress), stack)


class JobRun:
    """One run of a job. With no folder, parts are made and nothing is kept."""

    def __init__(
        self, name: str, config: BaseModel, out: Path | None, bars: Progress, stack: ExitStack
    ) -> None:
        self.bars, self.out = bars, out
        self._config, self._stack, self._start = config, stack, perf_counter()
        self._folder = None if out is None else JobFolder(out)
        self._job: dict[str, Any] = {"job": name}

    def begin(self, **inputs: Any) -> None:
        """Write down which job this is, once its inputs are known: `inputs` are what results depend on.

        Raises UserError when the folder holds parts of another job, or another process writes there.
        """
        self._job |= {"config": self._config.model_dump(mode="json", exclude=set(WORK_ONLY)), **inputs}
        self._job["undertext"] = versions()["undertext"]
        if self._folder is not None:
            self._stack.enter_context(self._folder.open(self._job))

    def make(self, parts: Sequence[Part]) -> list[Any]:
        """What each part makes, in order; those that an earlier run has finished are read.

        Parts of one call are independent of one another.
        """
        return [self._made(part) for part in parts]

    def scratch(self, key: str) -> Path | None:
        """A folder in which the part `key` may keep what it has so far; None where nothing is kept."""
        return None if self._folder is None else self._folder.scratch(key)

    def _made(self, part: Part) -> Any:
        kept = None if self._folder is None else self._folder.read(part.key)
        if kept is not None:
            return kept[0]
        with self.bars.stage(part.stage or part.key, part.units) as done:
            value = part.make(done)
        if self._folder is not None:
            self._folder.write(part.key, value)
        return value

    def record(self, **more: Any) -> dict[str, Any]:
        """run.json: which job it was, on which machine and versions, and how long it took."""
        count = getattr(self._config, "threads", None)
        return {
            **self._job,
            "config": self._config.model_dump(mode="json"),
            **more,
            "versions": versions(),
            "machine": {"processor": platform.machine(), "threads": count or torch.get_num_threads()},
            "timings_s": {name: round(seconds, 3) for name, seconds in self.bars.timings.items()},
            "elapsed_s": round(perf_counter() - self._start, 3),
        }

    def finish(self, kind: type[R], summary: Mapping[str, Any], tables: Mapping[str, Any], **more: Any) -> R:
        """The result, written where there is a folder; then the parts have served and are removed."""
        result = kind(summary, tables, self.record(**more))
        if self.out is not None and self._folder is not None:
            result.save(self.out)
            self._folder.finish()
        return result
