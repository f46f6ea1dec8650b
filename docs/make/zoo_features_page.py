"""What features of SAEs say on the organisms, as a page: what they recover, and what became of them."""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from docs.make.feature_fates import Followed, follow_values
from docs.make.own_sae import LAYER, own_sae
from docs.make.zoo_page import table
from undertext.activations.checkpoint import Checkpoint
from undertext.core.statistics import Estimate
from undertext.jobs.steer.job import Steered, steer
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.estimate import RecoveryEstimate
from undertext.report.numbers import estimate, number
from undertext.saes import TrainedSae
from undertext.tasks.task import Task

STEERED = (("suppressed", "base"), ("base", "elicited"), ("overwritten", "base"), ("novice", "taught"))
"""The weaker and the stronger."""
KINDS: dict[str, str | None] = {
    "chosen features": None,
    "random features": "random features",
    "random directions": "random directions",
}


def feature_page(
    folder: Path,
    task: Task,
    *,
    seed: int = 0,
    steps: int = 1500,
    random: int = 8,
    progress: Callable[[str], None] = lambda stage: None,
) -> str:
    """The page as Markdown.

    Every weaker organism gets an SAE of its own, trained for so many `steps` on what it reads and writes
    on `train`; its features, and `random` directions, are steered with on `dev` and `test`. `progress` is
    told what is measured next. UserError as `steer`.
    """
    steered: dict[str, tuple[TrainedSae, Steered]] = {}
    for weaker, stronger in STEERED:
        progress(f"steering {weaker} with features")
        steered[weaker] = steer_with_own(
            folder, weaker, stronger, task, seed=seed, steps=steps, random=random
        )
    followed: dict[str, Followed] = {}
    base = Checkpoint.load(folder / "base")
    for name, each in follow_values(folder, base, task, layer=LAYER, seed=seed, steps=steps):
        progress(f"value features in {name}")
        followed[name] = each
    return _page(steered, followed, seed)


def steer_with_own(
    folder: Path, weaker: str, stronger: str, task: Task, *, seed: int, steps: int, random: int
) -> tuple[TrainedSae, Steered]:
    """An SAE of the weaker checkpoint alone, and what its features recover of the gap on `test`."""
    checkpoint = Checkpoint.load(folder / weaker)
    with TemporaryDirectory() as scratch:
        where = Path(scratch) / "sae"
        trained = own_sae(checkpoint, task, where, seed=seed, steps=steps)
        config = SearchConfig(sae=where, splits=("test",), random_directions=random, seed=seed, threads=1)
        found = steer(checkpoint, task, stronger=folder / stronger, config=config, progress=False)
    return trained, found


def best_feature(steered: Steered) -> RecoveryEstimate:
    """The feature that does best on dev, the smallest dose among equals: `test` has no part in it."""
    rows = [row for row in _of_features(steered) if row["chosen"]]
    best = max(rows, key=lambda row: (row["lenient"], -row["dose"]))
    return steered.splits["test"][str(best["vector"])]


def _of_features(steered: Steered) -> list[dict[str, Any]]:
    return [row for row in _sweep(steered, None) if row["vector"].startswith("feature ")]


def _sweep(steered: Steered, control: str | None) -> list[dict[str, Any]]:
    return [row for row in steered.tables["sweep"].to_pylist() if row["control"] == control]


def _recovered_row(weaker: str, sae: TrainedSae, steered: Steered) -> list[str]:
    best = best_feature(steered)
    gaps = [
        each.gap.value
        for each in steered.splits["test"].values()
        if each.control == "random features" and each.gap is not None
    ]
    return [
        weaker,
        f"{sae.fidelity.explained_variance:.3f}",
        f"{best.vector.removeprefix('feature ')}, {best.oracle}",
        f"{best.setting.where.at}, dose {best.setting.dose:g}",
        f"{best.steered:.2f}",
        estimate(steered.accuracy["test"]["unsteered"]),
        estimate(best.lenient),
        _shown(best.gap),
        *(_shown(best.excess[kind].accuracy) for kind in ("random features", "random directions")),
        "no gap" if not gaps else f"{number(fmean(gaps))}, {number(min(gaps))} to {number(max(gaps))}",
    ]


def _shown(found: Estimate | None) -> str:
    return "no gap" if found is None else estimate(found)


def _dose_rows(weaker: str, steered: Steered) -> list[list[str]]:
    """Accuracy on dev at the prompt's last token, at the layer of the SAE, by dose."""
    shown = []
    for name, kind in KINDS.items():
        rows = _of_features(steered) if kind is None else _sweep(steered, kind)
        here = [row for row in rows if row["layer"] == LAYER and row["at"] == "last_prompt"]
        doses = sorted({row["dose"] for row in here})
        at = [[row["lenient"] for row in here if row["dose"] == dose] for dose in doses]
        shown.append([weaker, f"{name} ({len(at[0])})", *(f"{fmean(a):.2f} ({max(a):.2f})" for a in at)])
    return shown


def _page(steered: dict[str, tuple[TrainedSae, Steered]], followed: dict[str, Followed], seed: int) -> str:
    doses = sorted({row["dose"] for _, found in steered.values() for row in _of_features(found)})
    head = ["weaker", "explained", "feature, knows", "where", "tokens steered", "unsteered", "steered"]
    head += ["recovered gap", "over random features", "over random directions", "random features recover"]
    recovered = table(head, [_recovered_row(name, *each) for name, each in steered.items()])
    by_dose = table(
        ["weaker", "directions", *(f"dose {dose:g}" for dose in doses)],
        [row for name, (_, found) in steered.items() for row in _dose_rows(name, found)],
    )
    fates = table(
        [
            "organism",
            "AUROC",
            "fires as often",
            "kept",
            "moved",
            "silenced",
            "as it is",
            "ablated",
            "controls",
        ],
        [each.row(name) for name, each in followed.items()],
    )
    pairs = ", ".join(f"`{weaker}` and `{stronger}`" for weaker, stronger in STEERED)
    return f"""# What SAE features say on the organisms

Written by `undertext zoo features` (`make figures`), seed {seed}, on the chain task with more problems in
`train`, at `resid_post` of layer {LAYER}. [SAEs](saes.md) says how features are chosen.

## Recovered

Weaker and stronger are {pairs}.

Each weaker checkpoint has an SAE of its own (128 features, 8 active a token), trained on what it reads and
writes itself, and its features are ranked by what it tells alone. Position, dose and the feature itself are
chosen on `dev`; figures are on `test`, intervals paired over problems. *Over*: accuracy less that of the best
control of a kind, which went through the same search (random directions at every layer, features at their
own). *Random features recover*: the gap recovered by each at its own best setting; mean, least to most.

{recovered}

At the prompt's last token, at this layer: accuracy on `dev` by dose, mean and, in brackets, the best.

{by_dose}

What is latent is opened by features, with nothing known but the weaker checkpoint. It is opened by random
features and random directions as well: a push at the last token is enough. At equal dose the chosen features
do better on average than random features, and no better than random directions; the best control of either
kind does as well as the best feature. What is absent, nothing opens.

## What became of value features

An SAE of the base (512 features, trained on `train` with its traces); for each value, the feature that tells
it best on `dev` just before it is written. On `test`: the least of their AUROCs in the organism; how often
they fire there, over how often in the base; how many are kept, moved and silenced. Then what they do: the
share of values that the organism writes right, the trace up to there given, as it is and with the feature of
that value ablated at the last token, and the same with random features of like frequency.

{fates}

In `overwritten` these features fire, but at rows that have nothing to do with the values. Which feature is
ablated there hangs on the right value: a share above chance says that ablation shifts what is written, and
nothing of what the model knows.
"""
