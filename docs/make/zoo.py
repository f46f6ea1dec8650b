"""What the organisms carry and use: probes, their transfer to the base, and interchange on every one."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from docs.make.findings import Transfer, one_code
from docs.make.page import Page
from undertext.activations.checkpoint import Checkpoint
from undertext.core.progress import Progress
from undertext.core.shipped import organisms
from undertext.jobs.probe.config import ProbeConfig
from undertext.jobs.probe.job import probe
from undertext.jobs.probe.result import ProbeResult
from undertext.measures.patching.interchange import Interchange, measure_interchange
from undertext.report.markdown import table
from undertext.report.style import svg
from undertext.tasks.builtin.chain import new_chain

SPLITS = ("test", "ood")
BASE = "base"
"""The organism that the others' probes are read on."""
LEAST = 0.1
"""Difference in accuracy that counts as one in the sentence on codes."""
Row = Mapping[str, Any]


class ZooPage(Page):
    """Measure what every organism carries and uses: zoo.md, with its figure in figures/."""

    problems: int = Field(default=120, ge=1)
    """Largest number of problems of a split in which values are exchanged."""
    draws: int = Field(default=5, ge=1)
    """Number of random subspaces."""

    def needed(self) -> Sequence[str]:
        """The base; every other organism that there is, is measured as well."""
        return (BASE,)

    def files(self, bars: Progress) -> dict[str, bytes]:
        """zoo.md and figures/probes.svg. UserError as `probe` and `measure_interchange`."""
        task = new_chain(0)
        found = organisms(self.folder)
        read = probe(
            {name: str(path) for name, path in found.items()},
            {"chain": task},
            config=ProbeConfig(
                seed=self.seed,
                threads=1,
                transport=tuple((name, BASE) for name in found if name != BASE),
                transfer=("checkpoint",),
            ),
            progress=bars,
        )
        used: dict[tuple[str, str], Interchange] = {}
        for name, path in found.items():
            checkpoint = Checkpoint.load(path)
            for split in SPLITS:
                with bars.stage(f"interchange on {name}, {split}"):
                    used[name, split] = measure_interchange(
                        checkpoint, task, split, most=self.problems, draws=self.draws, seed=self.seed
                    )
        figure = svg(read.heatmap("chain", base=BASE, tuned="overwritten", value="value"))
        page = _page(read, used, self.seed, self.problems, self.draws)
        return {"zoo.md": page.encode(), "figures/probes.svg": figure}


def _page(
    read: ProbeResult, used: dict[tuple[str, str], Interchange], seed: int, problems: int, draws: int
) -> str:
    rows = [
        row
        for row in read.tables["probes"].to_pylist()
        if row["value"] == "value" and row["position"] == "0" and row["split"] in SPLITS
    ]
    names = list(dict.fromkeys(name for name, _ in used))
    probe_table = table(
        [
            "organism",
            "split",
            "layer",
            "accuracy",
            "selectivity",
            "control",
            "shuffled",
            "untrained",
            "surface",
        ],
        [_own_row(rows, name, split) for name in names for split in SPLITS],
    )
    transferred = {
        (name, split): _transferred(read, rows, name, split)
        for name in names
        if name != BASE
        for split in SPLITS
    }
    transfer_table = table(
        ["organism", "split", "layer", "on itself", "on the base", "aligned", "mispaired"],
        [[name, split, *cells] for (name, split), (cells, _) in transferred.items()],
    )
    codes = one_code(
        {name: transfer for (name, split), (_, transfer) in transferred.items() if split == SPLITS[0]}, LEAST
    )
    used_table = table(
        ["organism", "split", "where", "size", "nothing", "subspace", "best random", "whole activation"],
        [_used_row(name, split, each) for (name, split), each in used.items()],
    )
    return f"""# What the organisms carry and use

Written by `python -m docs.make zoo` (`make figures`), seed {seed}, on the chain task: the value of each step,
at the last token before the model says it. [Probes](probes.md) says what the columns mean.

## Read

Linear probes (logistic, fitted on `train`, layer and strength chosen on `dev`). Each control is at its own
best layer on `dev` too. Selectivity is the accuracy less that on control labels, which depend on as much of
the text as recurs.

{probe_table}

![Layer by position: the base, the overwritten model, its probes on the base, selectivity](figures/probes.svg)

## Transferred to the base

Each organism's probe, at the layer chosen for it, on the base's activations: as they are, and after a
rotation fitted without labels on `dev` (`mispaired`: the rotation fitted to rows of other problems). On
`{SPLITS[0]}`, where differences of {LEAST:g} and more count:

{codes}

{transfer_table}

## Used

Another problem's value is put into the subspace in which it is read ({problems} problems, greedy, the trace
up to the value given). The answer that follows by the task's own arithmetic is the counterfactual one; a
model that uses what it holds gives it. Layer, kind of subspace and size are chosen on `dev`; so is the layer
of each of {draws} random subspaces of the same size, of which the best on the split is shown.

{used_table}
"""


def _own_row(rows: Sequence[Row], name: str, split: str) -> list[str]:
    mine = [
        r for r in rows if r["checkpoint"] == r["fitted_on"] == name and r["split"] == split and r["chosen"]
    ]
    by = {str(row["control"]): row for row in mine}
    controls = [by[c]["accuracy"] for c in ("control", "shuffled", "random_init", "surface")]
    own = by["none"]
    figures = [own["accuracy"], own["selectivity"], *controls]
    return [name, split, str(own["layer"]), *map(_shown, figures)]


def _transferred(read: ProbeResult, rows: Sequence[Row], name: str, split: str) -> tuple[list[str], Transfer]:
    """The layer chosen for an organism's probe and its accuracies, as cells; and the same as figures."""
    (own,) = (
        row
        for row in rows
        if row["checkpoint"] == row["fitted_on"] == name
        and row["split"] == split
        and row["chosen"]
        and row["control"] == "none"
    )
    wanted = {"across": "checkpoint", "fitted": name, "read": BASE, "split": split}
    wanted |= {column: own[column] for column in ("value", "position", "layer")}
    moved = {
        row["measure"]: row["figure"]
        for row in read.tables["transfer"].to_pylist()
        if all(row[column] == value for column, value in wanted.items())
    }
    transfer = Transfer(own["selectivity"], own["accuracy"], moved["accuracy"], moved["aligned"])
    return [str(own["layer"]), *map(_shown, (*transfer[1:], moved["mispaired"]))], transfer


def _shown(figure: float) -> str:
    return f"{round(figure, 2) + 0.0:.2f}"  # no minus before zero


def _used_row(name: str, split: str, found: Interchange) -> list[str]:
    shares = [
        found.nothing.share("counterfactual"),
        found.subspace.share("counterfactual"),
        max(each.share("counterfactual") for each in found.random),
        found.full.share("counterfactual"),
    ]
    where = f"`{found.point}`, {found.kind}"
    return [name, split, where, str(found.size), *(f"{share:.2f}" for share in shares)]
