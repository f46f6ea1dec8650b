"""What became of the base's features in every organism made of it, as a table for the documentation."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from undertext.activations.errors import UserError
from undertext.jobs.sae_diff.job import feature_diff
from undertext.jobs.sae_features.config import DiffConfig, TrainConfig
from undertext.jobs.sae_train.job import train_dictionary
from undertext.report.numbers import number, percent
from undertext.tasks.task import Task

BEGIN, END = "<!-- fates: written by `undertext sae zoo` -->", "<!-- fates: end -->"
BASE = "base"
TUNED = ("elicited", "preserved", "suppressed", "overwritten")


def fates_table(
    folder: Path,
    task: Task,
    training: TrainConfig,
    config: DiffConfig,
    progress: Callable[[str], None] = lambda stage: None,
) -> str:
    """A table in Markdown, a row an organism: an SAE of the base, followed into each by `feature_diff`.

    `progress` is told what is done next. Raises UserError as the two jobs.
    """
    config = config.model_copy(update={"effects": 0, "pages": 0})
    rows = []
    with TemporaryDirectory() as scratch:
        progress("training an SAE of base")
        trained = train_dictionary(
            folder / BASE, task=task, config=training, out=Path(scratch) / "sae", progress=False
        )
        for name in TUNED:
            progress(f"features in {name}")
            found = feature_diff(
                folder / BASE, folder / name, task, sae=trained.folder, config=config, progress=False
            )
            rows.append(_row(name, found.summary))
    head = ["organism", "size", "kept", "moved", "silenced", "new", "silenced at own size"]
    head += ["value features kept", "AUROC in base", "AUROC here"]
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _row(name: str, summary: Mapping[str, Any]) -> list[str]:
    norms, carriers = summary["mean_norm"], summary["carriers"]
    kept = sum(each["fate"] == "kept" for each in carriers)
    least = {model: min(each["auroc"][model] for each in carriers) for model in ("base", "tuned")}
    return [
        name,
        number(norms["tuned"] / norms["base"]),
        *(percent(share) for share in summary["fates"].values()),
        percent(summary["fates_at_own_size"]["silenced"]),
        f"{kept} of {len(carriers)}",
        *(number(each) for each in least.values()),
    ]


def put_between_markers(file: Path, table: str) -> str:
    """The text of `file` with `table` between the markers; UserError when it has none or cannot be read."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(f"expected the line {BEGIN} and after it {END} in {file}, once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}"
