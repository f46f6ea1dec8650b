"""`undertext zoo`: list, check and build organisms; the pages on them are in zoo_pages."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import Field
from tqdm.auto import tqdm

from docs.make.zoo_pages import PAGES
from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.config import Config
from undertext.core.shipped import SHIPPED, organisms
from undertext.organisms.folder import read_card
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
    if args and args[0] in PAGES:
        kind, write = PAGES[args[0]]
        return write(parse(kind, f"zoo {args[0]}", args[1:]))
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
