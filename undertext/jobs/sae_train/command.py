"""`undertext sae train`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.core.command import parse, say
from undertext.core.config import part_of
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.job import train_dictionary
from undertext.jobs.sae_train.report import fidelity_lines


class TrainCommand(TrainConfig):
    """Train an SAE of a checkpoint, of what tuning added to it, or a crosscoder of both.

    Captures into OUT/activations, trains by sae-lens into OUT/sae in its format, and writes result.json
    (recovered loss, explained variance, L0, dead share), run.json, report.html, tables/ and figures/. An
    interrupted job goes on when it is called again. `--config FILE` reads any of these options from a YAML
    file; flags override the file.
    """

    checkpoint: str | None = None
    """Checkpoint to read: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME; the base of a
    pair."""
    tuned: str | None = None
    """Tuned checkpoint, for a difference and for a crosscoder."""
    task: str | None = None
    """Task whose texts are read: a folder, or zoo:chain for the built-in task."""
    texts: Path | None = None
    """File with a text on each line, in place of a task."""
    store: Path | None = None
    """Folder of activations that were captured before, in place of a task and of texts."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Train, and print how well the dictionary reconstructs."""
    given = parse(TrainCommand, "sae train", args, needs=("out",))
    trained = train_dictionary(
        given.checkpoint,
        given.tuned,
        task=given.task,
        texts=given.texts,
        store=given.store,
        config=part_of(TrainConfig, given),
        out=given.out or "",
    )
    for line in fidelity_lines(trained):
        say(line)
    say(f"saved: {trained.folder}; report: {given.out}/report.html")
    return 0
