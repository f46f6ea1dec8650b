"""Any organism by its name: one of the zoo, or one of the findings, with the task that it is asked."""

from collections.abc import Sequence
from pathlib import Path

from undertext.activations.errors import UserError
from undertext.activations.quiet import quiet
from undertext.core.plan import Draft
from undertext.core.progress import Progress
from undertext.core.setup import threads as torch_threads
from undertext.organisms.build import build
from undertext.organisms.findings.build import FindingsFolder
from undertext.organisms.findings.recipes import FINDING_RECIPES
from undertext.organisms.recipes import RECIPES
from undertext.organisms.shapes import Shape
from undertext.organisms.works import findings_drafts, zoo_drafts


def build_organism(
    name: str,
    *,
    seed: int = 0,
    shape: Shape = "llama",
    out: str | Path,
    threads: int | None = None,
    progress: bool | Progress | None = None,
) -> Path:
    """Train an organism, and the parents that it needs, and return its folder below `out`.

    Of a finding's organism, the task that it is asked stands beside it, in `task-FAMILY`; an organism of
    today's recipe that stands there already is used.

    Args:
        name: an organism of the zoo, or of the ten findings; docs/organisms.md lists them.
        seed: random seed of the problems, the training data and the initial weights.
        shape: architecture; those of the findings are llama-shaped.
        out: folder of the organisms of this seed.
        threads: number of CPU threads for torch; None leaves torch's own setting.
        progress: whether to show how far it is; None shows it as jobs do.

    Raises UserError for an unknown name, for a folder in the way, and where an organism of the zoo does not
    show its ground truth: then nothing is written.
    """
    bars = Progress.of(progress)
    _check(name, shape)
    with torch_threads(threads), quiet():
        if name in FINDING_RECIPES:
            folder = FindingsFolder(Path(out), seed, bars)
            made = folder.ensure(name)
            folder.ensure_task(FINDING_RECIPES[name].stages[-1].mixture.family)
            return made
        return build(name, seed=seed, shape=shape, out=Path(out), bars=bars)


def drafts_of(names: Sequence[str], *, seed: int, shape: Shape, out: Path) -> dict[str, Draft]:
    """What building these organisms one after another would train and ask, by kind of training; nothing where
    nothing is missing. `names` are all of the zoo, or all of the findings.

    Raises UserError as `build_organism`.
    """
    for name in names:
        _check(name, shape)
    if names[0] in FINDING_RECIPES:
        return findings_drafts(names, out, seed)
    return zoo_drafts(names, out, seed, shape)


def _check(name: str, shape: Shape) -> None:
    if name not in RECIPES and name not in FINDING_RECIPES:
        raise UserError(f"no organism {name!r}; there are: {', '.join([*RECIPES, *FINDING_RECIPES])}")
    if name in FINDING_RECIPES and shape != "llama":
        raise UserError(f"organisms of the findings are llama-shaped, got --shape {shape}")
