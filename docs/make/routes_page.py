"""Every route on pairs of shipped organisms whose weaker side holds the capability, or lacks it: a page."""

from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.make.own_sae import own_sae
from docs.make.zoo_page import table
from undertext.activations.checkpoint import Checkpoint
from undertext.core.shipped import organisms
from undertext.jobs.routes.config import RoutesConfig
from undertext.jobs.routes.job import routes
from undertext.jobs.routes.result import Route, Routes
from undertext.report.numbers import NOTHING, estimate
from undertext.tasks.task import Task

LATENT = (("base", "elicited"), ("suppressed", "base"))
ABSENT = (("overwritten", "base"), ("novice", "taught"))
"""Pairs (weaker, stronger), by whether the weaker one holds the capability."""
SPLIT = "test"


def routes_page(
    folder: Path,
    task: Task,
    *,
    config: RoutesConfig,
    progress: Callable[[str], None] = lambda stage: None,
) -> tuple[str, Routes]:
    """The page as Markdown, and the routes on the first pair, which its figures are drawn from.

    `progress` is told which pair is measured next. Raises UserError as `routes`.
    """
    there = organisms(folder)
    config = config.model_copy(update={"splits": (SPLIT,)})
    found = {}
    for weaker, stronger in (*LATENT, *ABSENT):
        progress(f"routes on {weaker}, to {stronger}")
        checkpoint = Checkpoint.load(there[weaker])
        with TemporaryDirectory() as scratch:
            own_sae(checkpoint, task, Path(scratch) / "sae", seed=config.seed)
            here = config.model_copy(update={"sae": Path(scratch) / "sae"})
            found[weaker, stronger] = routes(checkpoint, there[stronger], task, config=here, progress=False)
    return _page(found, config), found[LATENT[0]]


def _page(found: dict[tuple[str, str], Routes], config: RoutesConfig) -> str:
    def sections(pairs: Sequence[tuple[str, str]]) -> str:
        return "\n".join(_section(*pair, found[pair]) for pair in pairs)

    return f"""# The five routes on the zoo

Written by `undertext zoo routes` (`make figures`), seed {config.seed}, on the chain task's `{SPLIT}` split.
[Recovery without a verdict](recovery.md) says what the routes are. All are on the same problems, with at
most {config.budget} rows a problem; whatever is chosen is chosen on `dev`.

- Routes marked *training* moved weights, or a vector by gradient descent: they are reference points, and no
  evidence that anything was there before.
- The SAE was trained on what the weaker checkpoint reads and writes itself, its features ranked by what that
  checkpoint tells ([SAEs](saes.md)).
- pass@k is told which sample is right. Guesses alone, one in seven of them right, pass 0.71 at k = 8, so it
  recovers as much where nothing is there.
- A recovered gap above 1 is more than the stronger checkpoint shows: `base` holds the capability too, and
  uses it for some problems alone.
- `alike` is the share of problems that a route and the first one both get right or both wrong, with Cohen's
  kappa; where both get (nearly) everything right, kappa says little or is not defined.

## The weaker checkpoint holds the capability

{sections(LATENT)}
![What each route recovers on base, beside elicited](figures/routes.svg)

![Which routes get the same problems right on base](figures/agreement.svg)

## The weaker checkpoint lacks it

{sections(ABSENT)}"""


def _section(weaker: str, stronger: str, found: Routes) -> str:
    accuracy = {name: estimate(each) for name, each in found.unaided[SPLIT].items()}
    head = ["", "route", "accuracy", "recovered gap", "tokens", "trained on", "knows", "alike (kappa) to 1"]
    alike = {(row["route"], row["other"]): row["alike"] for row in found.tables["agreement"].to_pylist()}
    first = found.splits[SPLIT][0].outcome.name
    rows = []
    for place, route in enumerate(found.splits[SPLIT], 1):
        name = route.outcome.name
        kappa = found.agreement[SPLIT][first, name]
        agree = f"{alike[first, name]:.2f} ({NOTHING if isnan(kappa) else f'{kappa:.2f}'})"
        rows.append([str(place), *_cells(route), agree])
    notes = "".join(f"- {note}\n" for note in found.notes)
    return f"""### {weaker}, {accuracy["weaker"]}, to {stronger}, {accuracy["stronger"]}

{table(head, rows)}

{notes}"""


def _cells(route: Route) -> list[str]:
    outcome = route.outcome
    return [
        f"{outcome.name} (*training*)" if outcome.trained else outcome.name,
        estimate(route.accuracy),
        "no gap" if route.gap is None else estimate(route.gap),
        f"{outcome.tokens:.1f}",
        f"{outcome.training_tokens:,} tokens" if outcome.trained else NOTHING,
        outcome.knows,
    ]
