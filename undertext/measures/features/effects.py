"""What features do to answers in base and in tuned, beside features like them; part by part."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.files import read_json
from undertext.activations.hookpoint import HookPoint
from undertext.activations.pair import Pair
from undertext.core.progress import Progress
from undertext.core.resume import JobFolder
from undertext.core.statistics import Estimate, paired_difference, proportion
from undertext.jobs.sae_features.config import DiffConfig, FeatureOperator
from undertext.saes import Matched, feature_effects
from undertext.tasks.grade import grade
from undertext.tasks.task import Task

MODELS = ("base", "tuned")


@dataclass(frozen=True)
class Effect:
    """One feature changed in one checkpoint."""

    feature: int
    model: str
    operator: FeatureOperator
    dose: float
    """Of `clamp`: the coordinate along the decoder row, in the checkpoint's own units."""
    plain: Estimate
    """Accuracy as it is."""
    effect: Estimate
    """Accuracy with the feature changed less that; paired over problems."""
    controls: tuple[float, ...]
    """The same of each control."""
    excess: Estimate
    """Accuracy with the feature changed less the mean of the controls, paired."""


def measure_effects(
    pair: Pair,
    task: Task,
    matched: Matched,
    point: HookPoint,
    strengths: Float[Tensor, "model f"],
    config: DiffConfig,
    level: float,
    folder: JobFolder | None,
    bars: Progress,
) -> list[Effect]:
    """Every feature of `matched` in both checkpoints, by every operator, on problems of the reported split.

    `strengths` are the coordinates that `clamp` holds a feature at. What is finished is kept in `folder`.
    """
    problems = task.split(config.split)[: config.effect_problems]
    found = []
    operators = list(dict.fromkeys(config.operators))
    rows = (1 + matched.vectors.shape[1]) * len(problems)
    total = rows * len(matched.features) * len(operators) * len(MODELS)
    with bars.stage("effects on answers", total) as done:
        for operator in operators:
            for m, (model, checkpoint) in enumerate(zip(MODELS, pair, strict=True)):
                for f, feature in enumerate(matched.features.tolist()):
                    dose = float(strengths[m, f]) if operator == "clamp" else 1.0
                    key = f"effect-{operator}-{model}-{feature}.json"
                    answers = _kept(folder, key)
                    if answers is None:
                        answers = _answers(
                            checkpoint, task, len(problems), _one(matched, f), point, operator, dose, config
                        )
                        _keep(folder, key, answers)
                    done(rows)
                    found.append(_effect(feature, model, operator, dose, answers, level))
    return found


Answers = dict[str, list[Any]]
"""Whether each problem was right: `plain` and `changed` by problem, `controls` by control and problem."""


def _answers(
    checkpoint: Checkpoint,
    task: Task,
    count: int,
    matched: Matched,
    point: HookPoint,
    operator: FeatureOperator,
    dose: float,
    config: DiffConfig,
) -> Answers:
    problems = task.split(config.split)[:count]
    effects = feature_effects(
        checkpoint,
        [problem.prompt for problem in problems],
        lambda i, text: grade(task.grader, text, problems[i].answer).lenient,
        matched,
        point,
        operator=operator,
        dose=dose,
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        batch_size=config.batch_size,
    )
    return {
        "plain": effects.plain.tolist(),
        "changed": effects.changed[0].tolist(),
        "controls": effects.controls[0].tolist(),
    }


def _effect(
    feature: int, model: str, operator: FeatureOperator, dose: float, answers: Answers, level: float
) -> Effect:
    plain: Bool[ndarray, " problem"] = np.array(answers["plain"])
    changed, controls = np.array(answers["changed"]), np.array(answers["controls"], float)
    return Effect(
        feature=feature,
        model=model,
        operator=operator,
        dose=dose,
        plain=proportion(plain, level),
        effect=paired_difference(plain, changed, level),
        controls=tuple((controls.mean(axis=1) - plain.mean()).tolist()),
        excess=paired_difference(controls.mean(axis=0), changed, level),
    )


def effect_rows(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """A row an effect, estimates as value, low and high."""
    rows = []
    for each in effects:
        row: dict[str, Any] = {
            "feature": each.feature,
            "model": each.model,
            "operator": each.operator,
            "dose": each.dose,
            "problems": each.plain.n,
        }
        for name in ("plain", "effect", "excess"):
            estimate: Estimate = getattr(each, name)
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        row["controls"] = list(each.controls)
        rows.append(row)
    return rows


def _one(matched: Matched, f: int) -> Matched:
    here = slice(f, f + 1)
    return Matched(
        matched.features[here], matched.controls[here], matched.frequency[here], matched.vectors[here]
    )


def _kept(folder: JobFolder | None, key: str) -> Answers | None:
    if folder is None or not folder.path(key).exists():
        return None
    return read_json(folder.path(key))


def _keep(folder: JobFolder | None, key: str, answers: Answers) -> None:
    if folder is not None:
        folder.write(key, json.dumps(answers).encode())
