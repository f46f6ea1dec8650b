"""`undertext routes`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.setup import open_checkpoint
from undertext.jobs.routes.config import RoutesConfig
from undertext.jobs.routes.job import routes
from undertext.jobs.routes.result import Routes
from undertext.report.numbers import NOTHING, estimate
from undertext.steering import load_vector
from undertext.tasks.open import open_task


class RoutesJob(RoutesConfig):
    """How much of the gap does each way to elicit it recover, on the same problems, within the same tokens?

    Prints one table and the routes' agreement; with --out writes routes.json, run.json, figures/ and tables/.
    `--config FILE` reads any of these options from a YAML file; flags override it. A job that was killed goes
    on where it was.
    """

    checkpoint: str | None = None
    """The weaker checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    stronger: str | None = None
    """The stronger one, likewise."""
    task: str | None = None
    """The task's folder, or zoo:chain for the built-in task."""
    vectors: tuple[Path, ...] = ()
    """Files of directions given, as `steering.save_vector` writes them: of a probe, or any other."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Run every route, write the results, print the table."""
    job = parse(RoutesJob, "routes", args)
    missing = [name for name in ("checkpoint", "stronger", "task") if getattr(job, name) is None]
    if missing:
        raise UserError(f"expected --{', --'.join(missing)} (as a flag, or as a key of --config FILE)")
    found = routes(
        open_checkpoint(job.checkpoint or ""),
        open_checkpoint(job.stronger or ""),
        open_task(job.task or ""),
        vectors=[load_vector(path) for path in job.vectors],
        config=RoutesConfig(**{name: getattr(job, name) for name in RoutesConfig.model_fields}),
        out=job.out,
    )
    for line in table_lines(found):
        say(line)
    if job.out is not None:
        say(f"results: {job.out}/routes.json")
    return 0


def table_lines(found: Routes) -> list[str]:
    """Per split a row a route, then the agreement with the others in the same order."""
    lines = []
    for split, each in found.splits.items():
        lines += [
            f"## {split}",
            "",
            "| | route | accuracy | recovered gap | tokens | knows | kappa with 1, 2, ... |",
        ]
        lines += ["|---|---|---|---|---|---|---|"]
        for place, route in enumerate(each, 1):
            outcome = route.outcome
            name = f"{outcome.name} (training)" if outcome.trained else outcome.name
            gap = NOTHING if route.gap is None else estimate(route.gap)
            with_others = [found.agreement[split][outcome.name, other.outcome.name] for other in each]
            kappas = " ".join(f"{value:.2f}" for value in with_others)
            lines.append(
                f"| {place} | {name} | {estimate(route.accuracy)} | {gap} | {outcome.tokens:.1f} | "
                f"{outcome.knows} | {kappas} |"
            )
        lines.append("")
    return [*lines, *(f"note: {note}" for note in found.notes)]
