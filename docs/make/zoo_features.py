"""What SAE features do in the organisms: what they recover as vectors, and what became of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import Field

from docs.make import findings
from docs.make.own_sae import LAYER, own_sae
from docs.make.page import Page
from docs.make.value_features import FOLLOWED, Followed, follow_values
from undertext.activations.checkpoint import Checkpoint
from undertext.core.progress import Progress
from undertext.core.statistics import Estimate
from undertext.core.terms import ControlKind
from undertext.jobs.steer.config import SteerConfig
from undertext.jobs.steer.job import steer
from undertext.jobs.steer.result import SteerResult
from undertext.measures.recovery.estimate import RecoveryEstimate
from undertext.report.markdown import table
from undertext.report.numbers import estimate, number
from undertext.saes import TrainedSae
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.task import Task

STEERED = (("suppressed", "base"), ("base", "elicited"), ("overwritten", "base"), ("novice", "taught"))
"""The weaker and the stronger."""
CONTROLS: tuple[ControlKind, ...] = ("random features", "random directions")
CHOSEN = "chosen features"


class FeaturesPage(Page):
    """Measure what SAE features recover and what became of them: zoo_features.md."""

    train: int = Field(default=1500, ge=200)
    """Number of problems of `train`, for SAEs to be trained on."""
    steps: int = Field(default=1500, ge=1)
    """Number of training steps of each SAE."""
    random: int = Field(default=8, ge=1)
    """Number of random directions."""

    def needed(self) -> Sequence[str]:
        """All that are steered or followed."""
        return [*(name for pair in STEERED for name in pair), *FOLLOWED]

    def files(self, bars: Progress) -> dict[str, bytes]:
        """zoo_features.md. UserError as `steer`."""
        task = new_chain(self.seed, train=self.train)
        steered = {}
        for weaker, stronger in STEERED:
            steered[weaker] = steer_with_own(
                self.folder,
                weaker,
                stronger,
                task,
                seed=self.seed,
                steps=self.steps,
                random=self.random,
                bars=bars,
            )
        base = Checkpoint.load(self.folder / "base")
        with bars.stage("value features"):
            followed = dict(
                follow_values(self.folder, base, task, layer=LAYER, seed=self.seed, steps=self.steps)
            )
        return {"zoo_features.md": _page(steered, followed, self.seed).encode()}


def steer_with_own(
    folder: Path,
    weaker: str,
    stronger: str,
    task: Task,
    *,
    seed: int,
    steps: int,
    random: int,
    search: Literal["grid", "halving"] = "grid",
    bars: Progress | None = None,
) -> tuple[TrainedSae, SteerResult]:
    """An SAE of the weaker checkpoint alone, and what its features recover of the gap on `test`."""
    checkpoint = Checkpoint.load(folder / weaker)
    with TemporaryDirectory() as scratch:
        sae = Path(scratch) / "sae"
        trained = own_sae(checkpoint, task, sae, seed=seed, steps=steps)
        # The page shows accuracy by dose, of every setting on every problem.
        config = SteerConfig(
            sae=sae, splits=("test",), random_directions=random, search=search, seed=seed, threads=1
        )
        result = steer(checkpoint, task, stronger=folder / stronger, config=config, progress=bars)
    return trained, result


def best_feature(steered: SteerResult) -> RecoveryEstimate:
    """The feature that does best on dev, the smallest dose among equals: `test` has no part in it."""
    rows = [row for row in _of_features(steered) if row["chosen"]]
    best = max(rows, key=lambda row: (row["lenient"], -row["dose"]))
    return steered.splits["test"][str(best["vector"])]


def _of_features(steered: SteerResult) -> list[dict[str, Any]]:
    return [row for row in _sweep(steered, None) if row["vector"].startswith("feature ")]


def _sweep(steered: SteerResult, control: str | None) -> list[dict[str, Any]]:
    return [row for row in steered.tables["sweep"].to_pylist() if row["control"] == control]


def _recovered_row(weaker: str, sae: TrainedSae, steered: SteerResult) -> list[str]:
    best = best_feature(steered)
    gaps = [
        each.gap.value
        for each in steered.splits["test"].values()
        if each.control == "random features" and each.gap is not None
    ]
    return [
        weaker,
        f"{sae.fidelity.explained_variance:.3f}",
        f"{best.vector.removeprefix('feature ')}, {best.access}",
        f"{best.at}, dose {best.dose:g}",
        f"{best.steered:.2f}",
        estimate(steered.accuracy["test"]["unsteered"]),
        estimate(best.lenient),
        _shown(best.gap),
        *(_shown(best.excess[kind].accuracy) for kind in CONTROLS),
        "no gap" if not gaps else f"{number(fmean(gaps))}, {number(min(gaps))} to {number(max(gaps))}",
    ]


def _shown(found: Estimate | None) -> str:
    return "no gap" if found is None else estimate(found)


def _by_dose(steered: SteerResult) -> dict[str, list[list[float]]]:
    """Accuracies on dev at the prompt's last token, at the layer of the SAE: by directions, a list a dose."""
    accuracies = {}
    for name in (CHOSEN, *CONTROLS):
        rows = _of_features(steered) if name == CHOSEN else _sweep(steered, name)
        at_last = [row for row in rows if row["layer"] == LAYER and row["at"] == "last_prompt"]
        doses = sorted({row["dose"] for row in at_last})
        accuracies[name] = [[row["lenient"] for row in at_last if row["dose"] == dose] for dose in doses]
    return accuracies


def _page(
    steered: Mapping[str, tuple[TrainedSae, SteerResult]], followed: Mapping[str, Followed], seed: int
) -> str:
    doses = sorted({row["dose"] for _, result in steered.values() for row in _of_features(result)})
    head = ["weaker", "explained", "feature, access", "setting", "tokens steered", "unsteered", "steered"]
    head += ["recovered gap", *(f"over {kind}" for kind in CONTROLS), "random features recover"]
    recovered = table(head, [_recovered_row(name, *one) for name, one in steered.items()])
    accuracies = {name: _by_dose(result) for name, (_, result) in steered.items()}
    by_dose = table(
        ["weaker", "directions", *(f"dose {dose:g}" for dose in doses)],
        [
            [name, f"{kind} ({len(at[0])})", *(f"{fmean(a):.2f} ({max(a):.2f})" for a in at)]
            for name, of_kind in accuracies.items()
            for kind, at in of_kind.items()
        ],
    )
    head = ["organism", "AUROC", "fires as often", "stable", "moved", "silenced", "as it is", "ablated"]
    fates = table(
        [*head, "controls", "ablated less controls"], [one.row(name) for name, one in followed.items()]
    )
    pairs = ", ".join(f"`{weaker}` and `{stronger}`" for weaker, stronger in STEERED)
    return f"""# What SAE features say on the organisms

Written by `python -m docs.make zoo_features` (`make figures`), seed {seed}, on the chain task with more
problems in `train`, at `resid_post` of layer {LAYER}. [SAEs](saes.md) says how features are chosen.

## Recovered

Weaker and stronger are {pairs}.

Each weaker checkpoint has an SAE of its own (128 features, 8 active a token), trained on what it reads and
writes itself, and its features are ranked by figures of that checkpoint alone. Position, dose and the feature
itself are chosen on `dev`; figures are on `test`, intervals paired over problems. *Over*: accuracy less that
of the best control of a kind, which went through the same search (random directions at every layer, features
at their own). *Random features recover*: the gap recovered by each at its own best setting; mean, least to
most.

{recovered}

{_recovery_findings(steered)}

At the prompt's last token, at this layer: accuracy on `dev` by dose, mean and, in brackets, the best.

{by_dose}

{_dose_findings(accuracies)}

## What became of value features

An SAE of the base (512 features, trained on `train` with its traces); for each value, the feature that
predicts it best on `dev` just before it is written. On `test`: the least of their AUROCs in the organism; how
often they fire in it, over how often in the base; how many are stable, moved and silenced. Then the share of
values that the organism writes right, the trace up to the value given: without ablation, with the feature of
that value ablated at the last token, and with random features of like frequency ablated.

{fates}

{_fate_findings(followed)}

Which feature is ablated depends on the right value, so a share above chance where the organism knows nothing
says that ablation shifts what is written.
"""


def _recovery_findings(steered: Mapping[str, tuple[TrainedSae, SteerResult]]) -> str:
    best = {name: best_feature(result) for name, (_, result) in steered.items()}
    said = [findings.recovered("The best feature", {name: one.gap for name, one in best.items()})]
    for kind in CONTROLS:
        over: dict[str, Estimate] = {name: one.excess[kind].accuracy for name, one in best.items()}
        said.append(findings.compared("The best feature", f"the best of the {kind}", over))
    return "\n".join(said)


def _dose_findings(accuracies: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> str:
    said = []
    for kind in CONTROLS:
        means = {
            name: [(fmean(chosen), fmean(other)) for chosen, other in zip(at[CHOSEN], at[kind], strict=True)]
            for name, at in accuracies.items()
        }
        said.append(findings.at_equal_dose(CHOSEN, kind, means))
    return "\n".join(said)


def _fate_findings(followed: Mapping[str, Followed]) -> str:
    apart = {name: float((one.auroc[1] - 0.5).abs().max()) for name, one in followed.items()}
    said = [
        findings.unrelated_firing(apart, {name: one.frequency for name, one in followed.items()}),
        findings.ablation({name: one.cost for name, one in followed.items()}),
    ]
    return "\n".join(filter(None, said))
