"""Every route on pairs of organisms whose weaker side holds the capability, or lacks it."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field

from docs.make.findings import beyond_stronger, routes_above_zero
from docs.make.own_sae import own_sae
from docs.make.page import Page
from undertext.activations.checkpoint import Checkpoint
from undertext.core.progress import Progress
from undertext.core.shipped import organisms
from undertext.jobs.routes.config import RoutesConfig
from undertext.jobs.routes.job import routes
from undertext.jobs.routes.result import Route, RoutesResult
from undertext.report.markdown import table
from undertext.report.numbers import NOTHING, estimate
from undertext.report.style import svg
from undertext.tasks.builtin.chain import MODULUS, new_chain

LATENT = (("base", "elicited"), ("suppressed", "base"))
ABSENT = (("overwritten", "base"), ("novice", "taught"))
"""Pairs (weaker, stronger), by whether the weaker one holds the capability by construction."""
SPLIT = "test"


class RoutesPage(Page):
    """Run every route on pairs that hold a capability and pairs that lack it: routes.md and two figures."""

    search_problems: int = Field(default=64, ge=2)
    """Largest number of problems of dev that steering settings are searched on."""

    def needed(self) -> Sequence[str]:
        """Both of every pair."""
        return [name for pair in (*LATENT, *ABSENT) for name in pair]

    def files(self, bars: Progress) -> dict[str, bytes]:
        """routes.md, and the two figures of the first pair. UserError as `routes`."""
        task, folders = new_chain(0), organisms(self.folder)
        config = RoutesConfig(
            seed=self.seed,
            splits=(SPLIT,),
            search="halving",
            search_problems=self.search_problems,
            threads=1,
        )
        measured: dict[tuple[str, str], RoutesResult] = {}
        for weaker, stronger in (*LATENT, *ABSENT):
            checkpoint = Checkpoint.load(folders[weaker])
            with TemporaryDirectory() as scratch:
                sae = Path(scratch) / "sae"
                own_sae(checkpoint, task, sae, seed=self.seed)
                measured[weaker, stronger] = routes(
                    checkpoint,
                    folders[stronger],
                    task,
                    config=config.model_copy(update={"sae": sae}),
                    progress=bars,
                )
        drawn = measured[LATENT[0]].figures()
        return {
            "routes.md": _page(measured, config).encode(),
            **{f"figures/{name}.svg": svg(figure) for name, figure in drawn.items()},
        }


def _page(measured: dict[tuple[str, str], RoutesResult], config: RoutesConfig) -> str:
    def sections(pairs: Sequence[tuple[str, str]]) -> str:
        return "\n".join(_section(*pair, measured[pair]) for pair in pairs)

    chance = 1 - (1 - 1 / MODULUS) ** config.budget
    return f"""# The five routes on the zoo

Written by `python -m docs.make routes` (`make figures`), seed {config.seed}, on the chain task's `{SPLIT}`
split. [Recovery without a verdict](recovery.md) says what the routes are. All are on the same problems, with
at most {config.budget} rows a problem; whatever is chosen is chosen on `dev`.

- Routes marked *training* moved weights, or a vector by gradient descent: they are reference points, and no
  evidence that anything was there before.
- The SAE was trained on what the weaker checkpoint reads and writes itself, its features ranked by figures
  of that checkpoint alone ([SAEs](saes.md)).
- pass@k is told which sample is right. Guesses alone, one in {MODULUS} of them right, would pass
  {chance:.2f} at k = {config.budget}.
- A recovered gap above 1 is more than the stronger checkpoint shows.
- `alike` is the share of problems that a route and the first one both get right or both wrong, with Cohen's
  kappa; where both get (nearly) everything right, kappa says little or is not defined.

## The weaker checkpoint holds the capability

{sections(LATENT)}
![What each route recovers on base, beside elicited](figures/routes.svg)

![Which routes get the same problems right on base](figures/agreement.svg)

## The weaker checkpoint lacks it

{sections(ABSENT)}"""


def _section(weaker: str, stronger: str, result: RoutesResult) -> str:
    accuracy = {name: estimate(end) for name, end in result.unaided[SPLIT].items()}
    head = ["", "route", "accuracy", "recovered gap", "tokens", "trained on", "access", "alike (kappa) to 1"]
    alike = {(row["route"], row["other"]): row["alike"] for row in result.tables["agreement"].to_pylist()}
    listed = result.splits[SPLIT]
    rows = []
    for place, route in enumerate(listed, 1):
        kappa = result.agreement[SPLIT][listed[0].name, route.name]
        agree = f"{alike[listed[0].name, route.name]:.2f} ({NOTHING if isnan(kappa) else f'{kappa:.2f}'})"
        rows.append([str(place), *_cells(route), agree])
    said = [
        routes_above_zero([(route.training, route.gap) for route in listed]),
        beyond_stronger([route.gap for route in listed]),
        *result.notes,
    ]
    notes = "".join(f"- {line}\n" for line in said if line)
    return f"""### {weaker}, {accuracy["weaker"]}, to {stronger}, {accuracy["stronger"]}

{table(head, rows)}

{notes}"""


def _cells(route: Route) -> list[str]:
    return [
        f"{route.name} (*training*)" if route.training else route.name,
        estimate(route.accuracy),
        "no gap" if route.gap is None else estimate(route.gap),
        f"{route.tokens:.1f}",
        f"{route.training_tokens:,} tokens" if route.training else NOTHING,
        route.access,
    ]
