"""A job of a few parts that add up."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from undertext.core.config import RunConfig
from undertext.core.job import job_run
from undertext.core.output import json_bytes
from undertext.core.result import Result
from undertext.core.resume import Done, Part


class Config(RunConfig):
    """Of a job for these tests."""

    size: int = Field(default=3, ge=1)
    """Number of parts."""


class Sum(Result):
    """Of the parts, with no report beside it."""

    def files(self) -> dict[str, bytes]:
        return {"result.json": json_bytes({"run": self.id, **self.summary}), "run.json": json_bytes(self.run)}


def job(out: Path | None, made: list[str] | None = None, fails: Sequence[str] = (), **changes: Any) -> Sum:
    """The sum of what the parts `one/0`, `one/1`, ... and then `two` make."""
    config = Config(**changes)
    made = [] if made is None else made

    def part(key: str, value: float) -> Part:
        def make(done: Done) -> list[float]:
            made.append(key)
            if key in fails:
                raise RuntimeError(key)
            done(1)
            return [value]

        return Part(key, make, units=1)

    with job_run("sum", config, out, progress=False) as run:
        run.begin(input="x")
        first = run.make([part(f"one/{i}", i + 0.5) for i in range(config.size)])
        (second,) = run.make([part("two", sum(value for (value,) in first))])
        return run.finish(Sum, {"total": second[0]}, {"rows": pa.table({"a": [1]})})
