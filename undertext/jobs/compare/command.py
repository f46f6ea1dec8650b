"""`undertext compare`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.core.command import parse, say
from undertext.core.config import part_of
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.job import compare
from undertext.jobs.compare.result import Comparison


class CompareCommand(CompareConfig):
    """Was the capability that tells a tuned checkpoint from its base already latent in the weaker one?

    Writes verdict.json, report.html, figures/, tables/ and run.json. `--config FILE` reads any of these
    options from a YAML file; flags override it. A run that was stopped goes on when the same command is
    given again.
    """

    base: str | None = None
    """The base checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    tuned: str | None = None
    """The tuned checkpoint: a folder, a hub id, zoo:NAME, or the folder of a PEFT adapter."""
    task: str | None = None
    """The task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the report is written to."""


def run(args: Sequence[str]) -> int:
    """Compare, write the report, print the verdicts."""
    given = parse(CompareCommand, "compare", args, needs=("base", "tuned", "task", "out"))
    config = part_of(CompareConfig, given)
    for line in verdict_lines(
        compare(given.base, given.tuned, given.task or "", config=config, out=given.out)
    ):
        say(line)
    say(f"report: {given.out}/report.html")
    return 0


def verdict_lines(comparison: Comparison) -> list[str]:
    """The verdict on each split, its lines of evidence, and its flags, as lines of text."""
    lines = []
    for split, result in comparison.splits.items():
        accuracy = f"base {result.accuracy['base'].value:.2f}, tuned {result.accuracy['tuned'].value:.2f}"
        lines.append(f"{split}: {result.verdict} (confidence {result.confidence:.2f}; accuracy {accuracy})")
        lines += [f"  {line.name}: {line.says}" for line in result.evidence]
        lines += [f"  note: {flag}" for flag in result.flags]
    return lines
