"""What became of the base's features in every organism tuned from it: the table in docs/saes.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from docs.make.markdown import between_markers
from docs.make.page import Page
from undertext.core.config import part_of, read_config
from undertext.core.progress import Progress
from undertext.core.shipped import config_file
from undertext.core.terms import ROLES
from undertext.jobs.sae_diff.command import DiffCommand
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_diff.job import feature_diff
from undertext.jobs.sae_train.command import TrainCommand
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.job import train_dictionary
from undertext.report.markdown import table
from undertext.report.numbers import number, percent
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.task import Task

BEGIN, END = "<!-- fates: written by `python -m docs.make fates` -->", "<!-- fates: end -->"
BASE = "base"
TUNED = ("elicited", "preserved", "suppressed", "overwritten")
HEAD = (
    "organism", "size", "stable", "moved", "silenced", "new", "silenced at own size", "value features stable",
    "AUROC in base", "AUROC here",
)  # fmt: skip


class FatesTable(Page):
    """Train an SAE of the base and follow its features into the organisms: the table of fates in saes.md."""

    def needed(self) -> Sequence[str]:
        """The base, and what was tuned from it."""
        return (BASE, *TUNED)

    def files(self, bars: Progress) -> dict[str, bytes]:
        """saes.md with the table between its markers."""
        page = "saes.md"
        between_markers(self.out / page, BEGIN, END, "")  # found missing before the long work
        seed = {"seed": self.seed}
        training = read_config(TrainCommand, config_file("sae_chain.yaml"), seed)
        following = read_config(DiffCommand, config_file("diff_chain.yaml"), seed)
        rows = fate_rows(
            self.folder, new_chain(0), part_of(TrainConfig, training), part_of(DiffConfig, following), bars
        )
        return {page: between_markers(self.out / page, BEGIN, END, table(HEAD, rows)).encode()}


def fate_rows(
    folder: Path, task: Task, training: TrainConfig, config: DiffConfig, bars: Progress
) -> list[list[str]]:
    """A row an organism: an SAE of the base, followed into each by `feature_diff`. UserError as the jobs."""
    config = config.model_copy(update={"effects": 0, "pages": 0})
    rows = []
    with TemporaryDirectory() as scratch:
        trained = train_dictionary(
            folder / BASE, task=task, config=training, out=Path(scratch) / "sae", progress=bars
        )
        for name in TUNED:
            diff = feature_diff(
                folder / BASE, folder / name, task, sae=trained.folder, config=config, progress=bars
            )
            rows.append(_row(name, diff.summary))
    return rows


def _row(name: str, summary: Mapping[str, Any]) -> list[str]:
    norms, features = summary["mean_norm"], summary["associated"]
    stable = sum(feature["fate"] == "stable" for feature in features)
    least = [min(feature["auroc"][role] for feature in features) for role in ROLES]
    return [
        name,
        number(norms["tuned"] / norms["base"]),
        *(percent(share) for share in summary["fates"].values()),
        percent(summary["fates_at_own_size"]["silenced"]),
        f"{stable} of {len(features)}",
        *map(number, least),
    ]
