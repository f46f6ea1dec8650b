"""`undertext steer`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.core.command import parse, say
from undertext.core.config import part_of
from undertext.core.output import PAGE
from undertext.jobs.steer.config import SteerConfig
from undertext.jobs.steer.job import steer
from undertext.jobs.steer.report import lines


class SteerCommand(SteerConfig):
    """What can be recovered in a checkpoint with a vector, and no training, beside controls alike?

    Writes result.json, run.json, report.html, tables/ and figures/. `--config FILE` reads any of these
    options from a YAML file; flags override the file. A job that was killed goes on from its finished parts.
    """

    checkpoint: str | None = None
    """Checkpoint to steer: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    stronger: str | None = None
    """Checkpoint that does better, for the gap and for vectors made from it; None has neither."""
    task: str | None = None
    """Folder of the task, or zoo:chain for the built-in task."""
    vectors: tuple[Path, ...] = ()
    """Files of further vectors: .safetensors of `steering.save_vector`, or .gguf of llama.cpp."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Steer, write the results, print what was recovered."""
    given = parse(SteerCommand, "steer", args, needs=("checkpoint", "task", "out"))
    result = steer(
        given.checkpoint,
        given.task or "",
        stronger=given.stronger,
        vectors=given.vectors,
        config=part_of(SteerConfig, given),
        out=given.out,
    )
    for line in lines(result):
        say(line)
    say(f"report: {given.out}/{PAGE}")
    return 0
