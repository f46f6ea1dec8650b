"""The effect of changing a feature on a checkpoint's answers, beside features of equal norm and like
frequency."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.core.statistics import Clusters, Estimate, paired_difference, proportion
from undertext.core.terms import FeatureOperator
from undertext.saes import Matched, feature_effects
from undertext.tasks.draws import clusters
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Problem, Task


@dataclass(frozen=True, eq=False)
class RightAnswers:
    """Which problems are answered right, by lenient grading."""

    plain: Bool[ndarray, " problem"]
    """Unchanged."""
    changed: Bool[ndarray, " problem"]
    """With the feature changed."""
    controls: Bool[ndarray, "control problem"]
    """With each control changed instead."""
    clusters: Clusters = None
    """The problems' groups."""


@dataclass(frozen=True)
class FeatureEffect:
    """One feature changed in one checkpoint by one operator."""

    feature: int
    model: str
    operator: FeatureOperator
    dose: float
    """Of `clamp`: the coordinate along the decoder row, in the checkpoint's own units."""
    plain: Estimate
    """Accuracy unchanged."""
    effect: Estimate
    """Accuracy with the feature changed less accuracy unchanged; paired over problems."""
    controls: tuple[float, ...]
    """The same difference for each control."""
    excess: Estimate
    """Accuracy with the feature changed less the mean over controls; paired over problems."""


def right_answers(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    matched: Matched,
    point: HookPoint,
    operator: FeatureOperator,
    dose: float,
    *,
    batch_size: int,
    progress: Callable[[int], None] | None = None,
) -> RightAnswers:
    """Answer the problems unchanged, and with the one feature of `matched` and each of its controls
    changed."""
    grader = OutputGrader(task)
    effects = feature_effects(
        checkpoint,
        [problem.prompt for problem in problems],
        lambda i, text, cut: grader(text, problems[i], cut).lenient,
        matched,
        point,
        operator=operator,
        dose=dose,
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        batch_size=batch_size,
        progress=progress,
    )
    return RightAnswers(
        effects.plain.numpy(), effects.changed[0].numpy(), effects.controls[0].numpy(), clusters(problems)
    )


def feature_effect(
    feature: int, model: str, operator: FeatureOperator, dose: float, right: RightAnswers, level: float
) -> FeatureEffect:
    """The effect with intervals over problems."""
    controls = right.controls.astype(float)
    return FeatureEffect(
        feature=feature,
        model=model,
        operator=operator,
        dose=dose,
        plain=proportion(right.plain, level, right.clusters),
        effect=paired_difference(right.plain, right.changed, level, right.clusters),
        controls=tuple((controls.mean(axis=1) - right.plain.mean()).tolist()),
        excess=paired_difference(controls.mean(axis=0), right.changed, level, right.clusters),
    )


def effect_rows(effects: Sequence[FeatureEffect]) -> list[dict[str, Any]]:
    """A row an effect, estimates as value, low and high."""
    rows = []
    for one in effects:
        row: dict[str, Any] = {
            "feature": one.feature,
            "model": one.model,
            "operator": one.operator,
            "dose": one.dose,
            "problems": one.plain.n,
        }
        for name in ("plain", "effect", "excess"):
            estimate: Estimate = getattr(one, name)
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        row["controls"] = list(one.controls)
        rows.append(row)
    return rows
