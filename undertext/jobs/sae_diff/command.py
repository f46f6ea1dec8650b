"""`undertext sae diff`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.core.command import parse, say
from undertext.core.config import part_of
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_diff.job import feature_diff
from undertext.jobs.sae_diff.report import diff_lines


class DiffCommand(DiffConfig):
    """What became of the features of an SAE in a tuned checkpoint, or which model a crosscoder's latents
    belong to.

    Writes tables/, figures/, result.json, report.html (base and tuned side by side) and run.json. An
    interrupted job goes on when it is called again. `--config FILE` reads any of these options from a YAML
    file; flags override the file.
    """

    base: str | None = None
    """Base checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    tuned: str | None = None
    """Tuned checkpoint: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME."""
    sae: str | None = None
    """SAE whose features are followed: a folder that sae-lens saved, or a release with an sae_id."""
    sae_id: str | None = None
    """Name of the SAE within the release."""
    crosscoder: Path | None = None
    """Folder of a crosscoder that `sae train` made, in place of an SAE."""
    task: str | None = None
    """Task whose texts are read: a folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Follow the features, and print what became of them."""
    given = parse(DiffCommand, "sae diff", args, needs=("base", "tuned", "task", "out"))
    result = feature_diff(
        given.base,
        given.tuned,
        given.task or "",
        sae=given.sae,
        sae_id=given.sae_id,
        crosscoder=given.crosscoder,
        config=part_of(DiffConfig, given),
        out=given.out,
    )
    for line in diff_lines(result.summary):
        say(line)
    say(f"report: {given.out}/report.html")
    return 0
