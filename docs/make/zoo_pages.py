"""`undertext zoo page`, `features`, `recovered`, `routes`: what organisms show, as pages of documentation."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from tqdm.auto import tqdm

from undertext.activations.errors import UserError
from undertext.core.command import say
from undertext.core.config import Config
from undertext.core.output import check_writable
from undertext.core.shipped import SHIPPED, organisms
from undertext.jobs.routes.config import RoutesConfig


class Where(Config):
    """Which organisms, and where the page goes."""

    folder: Path = SHIPPED
    """Folder that holds organisms; the shipped zoo by default."""
    out: Path = Path("zoo-page")
    """Folder to write the page into."""


class PageJob(Where):
    """Measure what every organism carries and uses: zoo.md, with its figure in figures/."""

    seed: int = Field(default=0, ge=0)
    """Of probes, swaps and random subspaces."""
    problems: int = Field(default=120, ge=1)
    """Most problems of a split in which values are exchanged."""
    draws: int = Field(default=5, ge=1)
    """Random subspaces."""


class FeaturesJob(Where):
    """Measure what SAE features recover and what became of them: zoo_features.md."""

    seed: int = Field(default=0, ge=0)
    """Of the task, of SAEs and of random directions."""
    train: int = Field(default=1500, ge=200)
    """Problems of `train`, for SAEs to be trained on."""
    steps: int = Field(default=1500, ge=1)
    """Steps of training of each SAE."""
    random: int = Field(default=8, ge=1)
    """Random directions."""


class RecoveredJob(Where):
    """Measure what steering recovers in every organism that hides or lacks something: zoo_recovered.md."""

    seed: int = Field(default=0, ge=0)
    """Of all that is drawn."""
    kept: Path | None = None
    """Folder for the results of each pair; a job that was killed goes on from there. None keeps nothing."""


class RoutesPageJob(Where, RoutesConfig):
    """Run every route on pairs that hold a capability and pairs that lack it: routes.md, its figures/."""

    search: Literal["grid", "halving"] = "halving"
    """Every setting on every problem of the search, or ever fewer settings on ever more of them."""
    threads: int | None = 1
    """CPU threads for torch; for models this small one is best."""


def _ready(job: Where) -> None:
    """UserError, before any long work, where there is nothing to measure or no place to write."""
    if not organisms(job.folder):
        raise UserError(f"expected organisms in {job.folder}, got none")
    check_writable(job.out)


def _page(job: PageJob) -> int:
    from docs.make.zoo_page import zoo_page
    from undertext.core.output import publish
    from undertext.report.style import svg
    from undertext.tasks.open import open_task

    _ready(job)
    task = open_task("zoo:chain")
    with tqdm(bar_format="{desc} {elapsed}", disable=None) as bar:
        page, read = zoo_page(
            job.folder,
            task,
            seed=job.seed,
            problems=job.problems,
            draws=job.draws,
            progress=bar.set_description_str,
        )
    figure = svg(read.heatmap("chain", base="base", tuned="overwritten", value="value"))
    publish({"zoo.md": page.encode(), "figures/probes.svg": figure}, job.out)
    say(f"{job.out / 'zoo.md'}")
    return 0


def _features(job: FeaturesJob) -> int:
    from docs.make.zoo_features_page import feature_page
    from undertext.core.output import publish
    from undertext.tasks.builtin.chain import new_chain

    _ready(job)
    task = new_chain(job.seed, train=job.train)
    with tqdm(bar_format="{desc} {elapsed}", disable=None) as bar:
        page = feature_page(
            job.folder,
            task,
            seed=job.seed,
            steps=job.steps,
            random=job.random,
            progress=bar.set_description_str,
        )
    publish({"zoo_features.md": page.encode()}, job.out)
    say(f"{job.out / 'zoo_features.md'}")
    return 0


def _recovered(job: RecoveredJob) -> int:
    from docs.make.zoo_recovered_page import PAGE, recovered_page
    from undertext.core.output import publish
    from undertext.core.progress import Progress
    from undertext.tasks.open import open_task

    _ready(job)
    task = open_task("zoo:chain")
    page = recovered_page(
        job.folder, task, seed=job.seed, kept=job.kept, bars=lambda name: Progress(prefix=f"{name}: ")
    )
    publish({PAGE: page.encode()}, job.out)
    say(f"{job.out / PAGE}")
    return 0


def _routes(job: RoutesPageJob) -> int:
    from docs.make.routes_page import routes_page
    from undertext.core.output import publish
    from undertext.report.style import svg
    from undertext.tasks.open import open_task

    _ready(job)
    task = open_task("zoo:chain")
    config = RoutesConfig(**{name: getattr(job, name) for name in RoutesConfig.model_fields})
    with tqdm(bar_format="{desc} {elapsed}", disable=None) as bar:
        page, found = routes_page(job.folder, task, config=config, progress=bar.set_description_str)
    drawn = {f"figures/{name}.svg": svg(figure) for name, figure in found.figures().items()}
    publish({"routes.md": page.encode(), **drawn}, job.out)
    say(f"{job.out / 'routes.md'}")
    return 0


PAGES: Mapping[str, tuple[Any, Callable[[Any], int]]] = {
    "page": (PageJob, _page),
    "features": (FeaturesJob, _features),
    "recovered": (RecoveredJob, _recovered),
    "routes": (RoutesPageJob, _routes),
}
"""By name: options, and what measures and writes."""
