"""`undertext compare`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.setup import open_checkpoint
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.job import compare
from undertext.jobs.compare.result import Comparison
from undertext.tasks.open import open_task


class CompareJob(CompareConfig):
    """Was the capability that tells a tuned checkpoint from its base already latent in the weaker one?

    Writes verdict.json, report.html, figures/, tables/ and run.json. `--config FILE` reads any of these
    options from a YAML file; flags override it.
    """

    base: str | None = None
    """The base checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    tuned: str | None = None
    """The tuned checkpoint, likewise; a PEFT adapter's folder will do."""
    task: str | None = None
    """The task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder the report is written to."""


def run(args: Sequence[str]) -> int:
    """Compare, write the report, print the verdicts."""
    job = parse(CompareJob, "compare", args)
    missing = [name for name in ("base", "tuned", "task", "out") if getattr(job, name) is None]
    if missing:
        raise UserError(f"expected --{', --'.join(missing)} (as a flag, or as a key of --config FILE)")
    config = CompareConfig(**{name: getattr(job, name) for name in CompareConfig.model_fields})
    comparison = compare(
        open_checkpoint(job.base or ""),
        open_checkpoint(job.tuned or ""),
        open_task(job.task or ""),
        config=config,
        out=job.out,
    )
    for line in verdict_lines(comparison):
        say(line)
    say(f"report: {job.out}/report.html")
    return 0


def verdict_lines(comparison: Comparison) -> list[str]:
    """A line a split."""
    lines = []
    for split, result in comparison.splits.items():
        accuracy = f"base {result.accuracy['base'].value:.2f}, tuned {result.accuracy['tuned'].value:.2f}"
        lines.append(f"{split}: {result.verdict} (confidence {result.confidence:.2f}; accuracy {accuracy})")
        lines += [f"  {line.name}: {line.says}" for line in result.evidence]
        lines += [f"  note: {flag}" for flag in result.flags]
    return lines
