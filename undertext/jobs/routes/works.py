"""What `routes` would read, write and train."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

from undertext.activations.errors import UserError
from undertext.core.plan import Draft, Work, room_of
from undertext.core.setup import layers_of
from undertext.core.terms import CHOOSE, FIT
from undertext.jobs.routes.config import RoutesConfig
from undertext.jobs.routes.groups import RouteParts, shown_prompts, title_of
from undertext.measures.answers import solved
from undertext.measures.recovery.parts import SteeringParts
from undertext.measures.recovery.trained import FIT_BATCH
from undertext.measures.recovery.works import SIDE_EFFECTS, less_steering, steering_works
from undertext.tasks.draws import drawn
from undertext.tasks.open import splits_to_report
from undertext.tasks.task import Problem
from undertext.tasks.work import answering, most_written, tokens_of, trial_of

JOINED = 2
"""Most tokens more that a prompt and a solution have apart than as one text."""
BYTES_TRAINED = 16
"""Bytes a weight that training a copy takes: the copy, its gradients and two moments, in float32."""
BYTES_KEPT = 4
"""Bytes a weight of the trained copy that is kept until the job is finished."""
_FAILS = "nothing is done of what cannot be trained"
_REWARDED = "texts are as long as they are written, and those of one reward are not learnt from"


def routes_draft(
    parts: RouteParts, steering: SteeringParts, config: RoutesConfig, notes: Sequence[str]
) -> Draft:
    """The job before it begins."""
    weaker, task = parts.weaker, parts.task

    def works(config: RoutesConfig) -> list[Work]:
        layers = layers_of(weaker, config.layers, config.max_layers)
        own = replace(parts, config=config, layers=layers)
        splits = splits_to_report(task, config.splits)
        steered = steering_works(replace(steering, config=config, layers=layers), splits)
        return [
            *(_unaided(own, split) for split in splits),
            *(work for work in steered if work.stage != SIDE_EFFECTS),
            *(work for split in splits for work in _untrained(own, split)),
            *_training(own, splits),
        ]

    splits = splits_to_report(task, config.splits)
    judged = [problem for split in splits for problem in task.split(split)]
    less: list[Mapping[str, Any]] = [*less_steering(steering, splits)]
    if config.rlvr_steps:
        less += [{"rlvr_steps": 0}, {"rlvr_steps": config.rlvr_steps // 2}]
    if config.budget > 2:
        less.append({"budget": config.budget // 2})
    if config.fit_steps > 1:
        less.append({"fit_steps": config.fit_steps // 2})
    trains = config.rlvr_steps > 0 and config.budget > 1
    weights = sum(each.numel() for each in weaker.model.parameters())
    return Draft(
        works,
        trial_of(weaker, task, judged, config.seed, config.batch_size),
        [weaker, parts.stronger],
        less,
        room=room_of(works(config)) + (BYTES_KEPT * weights if trains else 0),
        notes=notes,
        training=BYTES_TRAINED * weights if trains else 0,
    )


def _unaided(parts: RouteParts, split: str) -> Work:
    stage = f"both checkpoints on {split}"
    own = answering(stage, parts.weaker, parts.task, parts.task.split(split))
    return own.and_also(answering(stage, parts.stronger, parts.task, parts.of_stronger.split(split)))


def _untrained(parts: RouteParts, split: str) -> list[Work]:
    """Decoding and prompts."""
    problems, budget = parts.task.split(split), parts.config.budget
    sampling = answering(f"sampling on {split}", parts.weaker, parts.task, problems, samples=budget)
    first = answering("", parts.weaker, parts.task, problems)
    branches = sampling._replace(
        stage=f"CoT-decoding on {split}", read=sampling.read + first.read, shared=True
    )
    prompts = Work(f"prompts on {split}", 0, 0)
    for asked in shown_prompts(parts.task, problems, parts.config).values():
        try:
            prompts = prompts.and_also(answering("", parts.weaker, parts.task, problems, prompts=asked))
        except UserError:  # examples that do not fit the context
            continue
    return [branches, sampling, prompts]


def _training(parts: RouteParts, splits: Sequence[str]) -> list[Work]:
    """What is trained, and what it then answers."""
    works = []
    for training in parts.training():
        fitted, stage = training.key == "training/fitted", training.stage or training.key
        works.append(_fitted(parts, stage) if fitted else _rewarded(parts, stage))
        for split in splits:
            answers = answering(
                f"{title_of(training.key)} on {split}", parts.weaker, parts.task, parts.task.split(split),
                why=_FAILS,
            )  # fmt: skip
            works.append(answers._replace(steered=training.key != "training/rlvr"))
    return works


def _fitted(parts: RouteParts, stage: str) -> Work:
    """A vector a layer that is fitted to solutions, and the answers to dev by which one is chosen."""
    config, task, weaker = parts.config, parts.task, parts.weaker
    train = drawn(task.split(FIT), config.seed, config.vector_problems)
    dev = drawn(task.split(CHOOSE), config.seed, config.search_problems)
    solutions = [each + JOINED for each in tokens_of(weaker, [solved(problem) for problem in train])]
    rounds = ceil(config.fit_steps / ceil(len(train) / FIT_BATCH))
    chosen, layers = answering(stage, weaker, task, dev), len(parts.layers)
    return chosen._replace(
        rows=len(train) + layers * (chosen.rows + config.fit_steps * min(FIT_BATCH, len(train))),
        read=_prompts(parts, train) + layers * chosen.read,
        written=layers * chosen.written,
        learnt=layers * rounds * sum(solutions),
        why="solutions are read in turn",
        steered=True,
    )


def _rewarded(parts: RouteParts, stage: str) -> Work:
    """Texts that are sampled and learnt from, update by update."""
    config, task, weaker = parts.config, parts.task, parts.weaker
    vectors = not stage.startswith("rlvr")
    train = task.split(FIT)
    longest = max(tokens_of(weaker, [problem.prompt for problem in train]))
    texts = config.rlvr_steps * min(config.rlvr_prompts, len(train)) * config.budget
    norms = drawn(train, config.seed, config.vector_problems) if vectors else []
    return Work(
        stage,
        texts + len(norms),
        texts * longest + _prompts(parts, norms),
        texts * most_written(task),
        _REWARDED,
        shared=True,
        steered=vectors,
        longest=longest,
        learnt=texts * (longest + most_written(task) + 1),  # and what ends a text
    )


def _prompts(parts: RouteParts, problems: Sequence[Problem]) -> int:
    return sum(tokens_of(parts.weaker, [problem.prompt for problem in problems]))
