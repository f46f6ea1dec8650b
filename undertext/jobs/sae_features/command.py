"""`undertext sae features`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.core.command import parse, say
from undertext.core.config import part_of
from undertext.jobs.sae_features.config import FeaturesConfig
from undertext.jobs.sae_features.job import feature_table
from undertext.report.numbers import percent


class FeaturesCommand(FeaturesConfig):
    """Which task values each SAE feature predicts, and whether the feature survives falsification.

    Writes tables/, figures/, result.json, report.html with a page for each of the features most associated
    with the task's values, and run.json. An interrupted job goes on when it is called again. `--config FILE`
    reads any of these options from a YAML file; flags override the file.
    """

    sae: str | None = None
    """SAE to measure: a folder that sae-lens saved, or a release of its table or of the hub, with an
    sae_id."""
    sae_id: str | None = None
    """Name of the SAE within the release."""
    checkpoint: str | None = None
    """Checkpoint that the SAE reads: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME."""
    task: str | None = None
    """Task whose texts are read: a folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Measure, and print how many features survive."""
    given = parse(FeaturesCommand, "sae features", args, needs=("sae", "checkpoint", "task", "out"))
    result = feature_table(
        given.checkpoint,
        given.task or "",
        given.sae or "",
        sae_id=given.sae_id,
        config=part_of(FeaturesConfig, given),
        out=given.out,
    )
    summary = result.summary
    say(f"{summary['alive']} of {summary['features']} features live")
    top = ", ".join(map(str, summary["most_associated"]))
    say(f"most associated with the task's values: {top or 'none asked for'}")
    for name, which in (("tested", "tested"), ("most_associated", "most associated")):
        shares = summary["falsification"][name]
        say(f"of {shares['features']} features {which}, {percent(shares['fail'])} fail")
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"report: {given.out}/report.html")
    return 0
