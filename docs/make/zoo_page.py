"""What the organisms carry and use, as a page of documentation: probes and interchange on every one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from undertext.activations.checkpoint import Checkpoint
from undertext.core.shipped import organisms
from undertext.jobs.probe.config import ProbeConfig
from undertext.jobs.probe.job import probe
from undertext.jobs.probe.result import ProbeResult
from undertext.measures.patching.interchange import Interchange, measure_interchange
from undertext.tasks.task import Task

SPLITS = ("test", "ood")
BASE = "base"
"""The organism that the others' probes are read on."""


def zoo_page(
    folder: Path,
    task: Task,
    *,
    seed: int = 0,
    problems: int = 120,
    draws: int = 5,
    progress: Callable[[str], None] = lambda stage: None,
) -> tuple[str, ProbeResult]:
    """The page as Markdown, and what its heatmap is drawn from.

    In each split values are exchanged in at most so many `problems`, and compared with so many `draws` of
    random subspaces. `progress` is told what is measured next. Raises UserError as `probe` and
    `measure_interchange`.
    """
    found = organisms(folder)
    progress("probes on every checkpoint")
    read = probe(
        {name: str(path) for name, path in found.items()},
        {"chain": task},
        config=ProbeConfig(
            seed=seed,
            threads=1,
            transport=tuple((name, BASE) for name in found if name != BASE),
            transfer=("checkpoint",),
        ),
    )
    used: dict[tuple[str, str], Interchange] = {}
    for name, path in found.items():
        checkpoint = Checkpoint.load(path)
        for split in SPLITS:
            progress(f"interchange on {name}, {split}")
            used[name, split] = measure_interchange(
                checkpoint, task, split, most=problems, draws=draws, seed=seed
            )
    return _page(read, used, seed, problems, draws), read


def _page(
    read: ProbeResult, used: dict[tuple[str, str], Interchange], seed: int, problems: int, draws: int
) -> str:
    rows = [
        row
        for row in read.table.to_pylist()
        if row["value"] == "value" and row["position"] == "0" and row["split"] in SPLITS
    ]
    names = list(dict.fromkeys(name for name, _ in used))
    read_table = table(
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
        [_read_row(rows, name, split) for name in names for split in SPLITS],
    )
    carried_table = table(
        ["organism", "split", "layer", "on itself", "on the base", "aligned", "mispaired"],
        [_carried_row(read, rows, name, split) for name in names if name != BASE for split in SPLITS],
    )
    used_table = table(
        ["organism", "split", "where", "size", "nothing", "subspace", "best random", "whole activation"],
        [_used_row(name, split, each) for (name, split), each in used.items()],
    )
    return f"""# What the organisms carry and use

Written by `undertext zoo page` (`make figures`), seed {seed}, on the chain task: the value of each step, at
the last token before the model says it. [Probes](probes.md) says what the columns mean.

## Read

Linear probes (logistic, fitted on `train`, layer and strength chosen on `dev`). Each control is at its own
best layer on `dev` too. Selectivity is over control labels that hang on as much of the text as recurs: where
nothing but the last tokens is to be read, it is near zero.

{read_table}

![Layer by position: the base, the overwritten model, its probes on the base, selectivity](figures/probes.svg)

## Carried to the base

Each organism's probe, at the layer chosen for it, on the base's activations: as they are, and after a
rotation fitted without labels on `dev` (`mispaired`: the rotation fitted to rows of other problems). As much
as it reads on itself: one code. Only after the rotation: the same content, encoded otherwise. Where it reads
nothing on itself there is nothing to carry.

{carried_table}

## Used

Another problem's value is put into the subspace in which it is read ({problems} problems, greedy, the trace
up to the value given). The answer that follows by the task's own arithmetic is the counterfactual one; a
model that uses what it holds gives it. Layer, kind of subspace and size are chosen on `dev`; so is the layer
of each of {draws} random subspaces of the same size, of which the best on the split is shown.

{used_table}
"""


def _read_row(rows: Sequence[dict[str, object]], name: str, split: str) -> list[str]:
    mine = [
        r for r in rows if r["checkpoint"] == r["fitted_on"] == name and r["split"] == split and r["chosen"]
    ]
    by = {str(row["control"]): row for row in mine}
    controls = [by[c]["accuracy"] for c in ("control", "shuffled", "random_init", "surface")]
    own = by["none"]
    figures = [own["accuracy"], own["selectivity"], *controls]
    return [name, split, str(own["layer"]), *map(_shown, figures)]


def _carried_row(read: ProbeResult, rows: Sequence[dict[str, object]], name: str, split: str) -> list[str]:
    (own,) = (
        r
        for r in rows
        if r["checkpoint"] == r["fitted_on"] == name
        and r["split"] == split
        and r["chosen"]
        and r["control"] == "none"
    )
    wanted = {
        "across": "checkpoint",
        "fitted": name,
        "read": BASE,
        "split": split,
        "value": own["value"],
        "position": own["position"],
        "layer": own["layer"],
    }
    moved = {
        row["measure"]: row["figure"]
        for row in read.transfer.to_pylist()
        if all(row[column] == value for column, value in wanted.items())
    }
    figures = [own["accuracy"], *(moved[measure] for measure in ("accuracy", "aligned", "mispaired"))]
    return [name, split, str(own["layer"]), *map(_shown, figures)]


def _shown(figure: Any) -> str:
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


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])
