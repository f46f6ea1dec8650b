"""`undertext routes`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.core.command import parse, say
from undertext.core.config import part_of
from undertext.core.output import PAGE
from undertext.jobs.routes.config import RoutesConfig
from undertext.jobs.routes.job import routes
from undertext.jobs.routes.report import lines


class RoutesCommand(RoutesConfig):
    """How much of the gap does each way to elicit it recover, on the same problems, within the same tokens?

    Prints one table and the routes' agreement; with --out writes result.json, run.json, report.html, tables/
    and figures/. `--config FILE` reads any of these options from a YAML file; flags override the file. A job
    that was killed goes on from its finished parts.
    """

    checkpoint: str | None = None
    """Weaker checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    stronger: str | None = None
    """Stronger checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    task: str | None = None
    """Folder of the task, or zoo:chain for the built-in task."""
    vectors: tuple[Path, ...] = ()
    """Files of directions given: .safetensors of `steering.save_vector`, or .gguf of llama.cpp."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Run every route, write the results, print the table."""
    given = parse(RoutesCommand, "routes", args, needs=("checkpoint", "stronger", "task"))
    result = routes(
        given.checkpoint,
        given.stronger,
        given.task or "",
        vectors=given.vectors,
        config=part_of(RoutesConfig, given),
        out=given.out,
    )
    for line in lines(result):
        say(line)
    if given.out is not None:
        say(f"report: {given.out}/{PAGE}")
    return 0
