"""`undertext zoo`: lists, checks and builds organisms."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.command import DRY_RUN, parse, run_subcommand, say, without_dry_run
from undertext.core.config import Config
from undertext.core.progress import Progress
from undertext.core.shipped import SHIPPED, organisms
from undertext.organisms.findings.recipes import FINDING_RECIPES
from undertext.organisms.folder import read_card
from undertext.organisms.recipes import RECIPES
from undertext.organisms.shapes import Shape

FINDINGS = "findings"
"""Stands for all organisms of the findings."""


class ListCommand(Config):
    """List organisms: architecture, seed, parent, and the true verdicts."""

    folder: Path | None = None
    """Folder that holds organisms; None takes the shipped zoo."""


class CheckCommand(ListCommand):
    """Check the ground truth of every organism anew, by behaviour and by relearning, and update the cards."""


class BuildCommand(Config):
    """Train an organism, and the parents that it needs, from nothing; check its ground truth; write it.

    NAME is a recipe; all stands for the zoo, and findings for the pairs that show the ten findings, which
    have no verdict to check.
    """

    seed: int = Field(default=0, ge=0)
    """Random seed of the training data and of the initial weights."""
    shape: Shape = "llama"
    """Architecture of the organism."""
    out: Path | None = None
    """Folder to write the organism below; None takes zoo-SHAPE-SEED in the current folder."""
    threads: int | None = Field(default=None, ge=1)
    """Number of CPU threads for torch; None leaves torch's own setting."""


def run(args: Sequence[str]) -> int:
    """Run `undertext zoo` with these arguments."""
    return run_subcommand(
        "zoo",
        args,
        {
            "list": (_list, "list organisms, with their true verdicts"),
            "check": (_check, "check every organism's ground truth anew"),
            "build": (_build, "train an organism from nothing"),
        },
    )


def _list(args: Sequence[str]) -> int:
    given = parse(ListCommand, "zoo list", args)
    for name, folder in _organisms_in(given.folder).items():
        card = read_card(folder)
        truth = ", ".join(f"{split}: {verdict}" for split, verdict in card["truth"].items())
        truth = truth or ("no verdict" if card["parent"] else "a base")
        origin = f"from {card['parent']}" if card["parent"] else "from nothing"
        say(f"{name:<12} {card['shape']:<6} seed {card['seed']:<3} {origin:<13} {truth:<40} {folder}")
    return 0


def _check(args: Sequence[str]) -> int:
    from undertext.activations.quiet import quiet
    from undertext.organisms.build import check

    given = parse(CheckCommand, "zoo check", args)
    bars = Progress()
    for name, folder in _organisms_in(given.folder).items():
        if name in FINDING_RECIPES:
            say(f"{name:<12} has no verdict to check")
            continue
        with quiet():
            checks = check(name, folder.parent, bars)
        say(f"{name:<12} {checks['accuracy']} relearning {checks.get('relearning', 'not asked')}")
    return 0


def _build(args: Sequence[str]) -> int:
    from undertext.organisms.building import build_organism

    rest, dry = without_dry_run(list(args))
    name = rest[0] if rest and not rest[0].startswith("-") else None
    given = parse(BuildCommand, "zoo build NAME", rest if name is None else rest[1:], about=DRY_RUN)
    if name is None:
        known = ", ".join([*RECIPES, *FINDING_RECIPES])
        raise UserError(f"expected an organism to build: {known}, all or {FINDINGS}")
    out, bars = given.out or Path(f"zoo-{given.shape}-{given.seed}"), Progress()
    names = list(FINDING_RECIPES) if name == FINDINGS else list(RECIPES) if name == "all" else [name]
    if dry:
        return _dry_run(names, given, out)
    for each in names:
        made = build_organism(
            each, seed=given.seed, shape=given.shape, out=out, threads=given.threads, progress=bars
        )
        say(str(made))
    return 0


def _dry_run(names: Sequence[str], given: BuildCommand, out: Path) -> int:
    """Print what building these organisms would take."""
    from undertext.activations.quiet import quiet
    from undertext.core.dry_run import say_together
    from undertext.core.planner import make_plan
    from undertext.core.setup import threads
    from undertext.organisms.building import drafts_of

    with threads(given.threads), quiet():
        drafts = drafts_of(names, seed=given.seed, shape=given.shape, out=out)
        plans = [make_plan(f"zoo build, {kind}", given, draft) for kind, draft in drafts.items()]
    if not plans:
        say(f"nothing is missing in {out}: nothing would be trained")
        return 0
    say_together(plans, say, notes=["smaller: one organism by its name"] if len(names) > 1 else [])
    return 0


def _organisms_in(folder: Path | None) -> dict[str, Path]:
    """Organisms in a folder by name. Raises UserError where the folder holds none."""
    held = organisms(SHIPPED if folder is None else folder)
    if not held:
        raise UserError(f"expected organisms in {folder}, got none")
    return held
