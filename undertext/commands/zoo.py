"""`undertext zoo`: list, check and build organisms, and write pages of what they show."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from pydantic import Field
from tqdm.auto import tqdm

from activations.errors import UserError
from undertext.commands.parsing import parse, say
from undertext.config import Config, RoutesConfig
from undertext.organisms.folder import SHIPPED, organisms, read_card
from undertext.organisms.recipes import RECIPES, Shape

USAGE = (
    "undertext zoo list [--folder DIR] | undertext zoo check [--folder DIR] | "
    "undertext zoo build NAME --seed S [--shape llama|gpt2] [--out DIR] | undertext zoo page [--out DIR] | "
    "undertext zoo features [--out DIR] | undertext zoo recovered [--out DIR] [--kept DIR] | "
    "undertext zoo routes [--out DIR]"
)


class ListJob(Config):
    """List organisms: shape, seed, what each was tuned from, and the true verdicts."""

    folder: Path = SHIPPED
    """Folder that holds organisms; the shipped zoo by default."""


class CheckJob(Config):
    """Check every organism anew, by behaviour and by relearning, and bring its card up to date."""

    folder: Path = SHIPPED
    """Folder that holds organisms; the shipped zoo by default."""


class PageJob(Config):
    """Measure what every organism carries and uses: zoo.md, with its figure in figures/."""

    seed: int = Field(default=0, ge=0)
    """Of probes, swaps and random subspaces."""
    problems: int = Field(default=120, ge=1)
    """Most problems of a split in which values are exchanged."""
    draws: int = Field(default=5, ge=1)
    """Random subspaces."""

    folder: Path = SHIPPED
    """Folder that holds organisms; the shipped zoo by default."""
    out: Path = Path("zoo-page")
    """Folder to write the page into."""


class FeaturesJob(Config):
    """Measure what SAE features recover and what became of them: zoo_features.md."""

    seed: int = Field(default=0, ge=0)
    """Of the task, of SAEs and of random directions."""
    train: int = Field(default=1500, ge=200)
    """Problems of `train`, for SAEs to be trained on."""
    steps: int = Field(default=1500, ge=1)
    """Steps of training of each SAE."""
    random: int = Field(default=8, ge=1)
    """Random directions."""

    folder: Path = SHIPPED
    """Folder that holds organisms; the shipped zoo by default."""
    out: Path = Path("zoo-page")
    """Folder to write the page into."""


class RecoveredJob(Config):
    """Measure what steering recovers in every organism that hides or lacks something: zoo_recovered.md."""

    seed: int = Field(default=0, ge=0)
    """Of all that is drawn."""
    folder: Path = SHIPPED
    """Folder that holds organisms; the shipped zoo by default."""
    out: Path = Path("zoo-page")
    """Folder to write the page into."""
    kept: Path | None = None
    """Folder for the results of each pair; a job that was killed goes on from there. None keeps nothing."""


class RoutesPageJob(RoutesConfig):
    """Run every route on pairs that hold a capability and pairs that lack it: routes.md, its figures/."""

    search: Literal["grid", "halving"] = "halving"
    """Every setting on every problem of the search, or ever fewer settings on ever more of them."""
    threads: int | None = 1
    """CPU threads for torch; for models this small one is best."""
    folder: Path = SHIPPED
    """Folder that holds organisms; the shipped zoo by default."""
    out: Path = Path("routes-page")
    """Folder to write the page into."""


class BuildJob(Config):
    """Train an organism, and the parents it needs, from nothing; check its ground truth; write it."""

    seed: int = Field(default=0, ge=0)
    """Of the training data and of the initial weights."""
    shape: Shape = "llama"
    """Architecture."""
    out: Path | None = None
    """Folder to write it under; by default zoo-SHAPE-SEED in the current folder."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; None leaves torch's setting."""


def run(args: Sequence[str]) -> int:
    """Dispatch."""
    if args[:1] == ["list"]:
        return _list(parse(ListJob, "zoo list", args[1:]))
    if args[:1] == ["check"]:
        return _check(parse(CheckJob, "zoo check", args[1:]))
    if args[:1] == ["page"]:
        return _page(parse(PageJob, "zoo page", args[1:]))
    if args[:1] == ["features"]:
        return _features(parse(FeaturesJob, "zoo features", args[1:]))
    if args[:1] == ["recovered"]:
        return _recovered(parse(RecoveredJob, "zoo recovered", args[1:]))
    if args[:1] == ["routes"]:
        return _routes(parse(RoutesPageJob, "zoo routes", args[1:]))
    if args[:1] == ["build"]:
        names = [arg for arg in args[1:2] if not arg.startswith("-")]
        if not names and not {"-h", "--help"} & set(args):
            raise UserError(f"expected an organism to build: {', '.join(RECIPES)}, or all")
        return _build(names[0] if names else "", parse(BuildJob, "zoo build NAME", args[1 + len(names) :]))
    if set(args) & {"-h", "--help"}:
        say(f"usage: {USAGE}")
        return 0
    raise UserError(f"expected {USAGE}")


def _list(job: ListJob) -> int:
    if not job.folder.is_dir():
        raise UserError(f"no folder {job.folder}")
    for name, folder in organisms(job.folder).items():
        card = read_card(folder)
        truth = ", ".join(f"{split}: {verdict}" for split, verdict in card["truth"].items()) or "a base"
        origin = f"from {card['parent']}" if card["parent"] else "from nothing"
        say(f"{name:<12} {card['shape']:<6} seed {card['seed']:<3} {origin:<13} {truth:<40} {folder}")
    return 0


def _check(job: CheckJob) -> int:
    import transformers

    from undertext.organisms.zoo import check

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    found = organisms(job.folder)
    if not found:
        raise UserError(f"expected organisms in {job.folder}, got none")
    for name in found:
        checks = check(name, job.folder)
        say(f"{name:<12} {checks['accuracy']} relearning {checks.get('relearning', 'not asked')}")
    return 0


def _page(job: PageJob) -> int:
    from undertext.organisms.page import zoo_page
    from undertext.report.publish import publish
    from undertext.report.style import svg
    from undertext.sources import resolve_task

    if not organisms(job.folder):
        raise UserError(f"expected organisms in {job.folder}, got none")
    task = resolve_task("zoo:chain")
    assert not isinstance(task, str)
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
    from undertext.organisms.feature_page import feature_page
    from undertext.report.publish import publish
    from undertext.tasks.new import new_chain

    if not organisms(job.folder):
        raise UserError(f"expected organisms in {job.folder}, got none")
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
    from undertext.organisms.recovered_page import PAGE, recovered_page
    from undertext.progress import Progress
    from undertext.report.publish import check_writable, publish
    from undertext.sources import resolve_task

    check_writable(job.out)
    task = resolve_task("zoo:chain")
    assert not isinstance(task, str)
    page = recovered_page(
        job.folder, task, seed=job.seed, kept=job.kept, bars=lambda name: Progress(prefix=f"{name}: ")
    )
    publish({PAGE: page.encode()}, job.out)
    say(f"{job.out / PAGE}")
    return 0


def _routes(job: RoutesPageJob) -> int:
    from undertext.organisms.routes_page import routes_page
    from undertext.report.publish import check_writable, publish
    from undertext.report.style import svg
    from undertext.sources import resolve_task

    if not organisms(job.folder):
        raise UserError(f"expected organisms in {job.folder}, got none")
    check_writable(job.out)
    task = resolve_task("zoo:chain")
    assert not isinstance(task, str)
    config = RoutesConfig(**{name: getattr(job, name) for name in RoutesConfig.model_fields})
    with tqdm(bar_format="{desc} {elapsed}", disable=None) as bar:
        page, found = routes_page(job.folder, task, config=config, progress=bar.set_description_str)
    drawn = {f"figures/{name}.svg": svg(figure) for name, figure in found.figures().items()}
    publish({"routes.md": page.encode(), **drawn}, job.out)
    say(f"{job.out / 'routes.md'}")
    return 0


def _build(name: str, job: BuildJob) -> int:
    import torch
    import transformers

    from undertext.organisms.zoo import build

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    out = job.out or Path(f"zoo-{job.shape}-{job.seed}")
    with ExitStack() as bars:

        def on_stage(stage: str, steps: int) -> Callable[[int], None]:
            bar = bars.enter_context(tqdm(total=steps, desc=stage))

            def advance(done: int) -> None:
                bar.update(done)

            return advance

        for each in RECIPES if name == "all" else [name]:
            say(str(build(each, seed=job.seed, shape=job.shape, out=out, on_stage=on_stage)))
    return 0
