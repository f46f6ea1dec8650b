"""What a comparison would read and write. Which checkpoint is the weaker one, and on which splits, is not
known before it runs: what is measured on the weaker is stated as the more of the two."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, reduce
from typing import Any

from undertext.activations.errors import UserError
from undertext.activations.pair import Pair
from undertext.core.plan import Draft, Work
from undertext.core.setup import layers_of
from undertext.core.terms import CHOOSE, FIT, ROLES, Role
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.dictionaries import (
    CROSSCODER_STAGE,
    SAE_STAGE,
    Dictionaries,
    texts_for,
    why_not_read,
)
from undertext.jobs.compare.rephrased import other_words
from undertext.jobs.compare.token_parts import OUTPUTS, read_of, why_no_tokens
from undertext.jobs.compare.trace_parts import drawn_of, fresh_of
from undertext.jobs.compare.used import MOST, NOT_GRADED
from undertext.measures.decoding.works import other_work, own_work, right_work
from undertext.measures.features.in_pair import PASSES_CHOOSE, PASSES_REPORT
from undertext.measures.features.works import encoding_work, kept_activations
from undertext.measures.keys import key_works
from undertext.measures.patching.works import used_work
from undertext.measures.recovery.parts import SteeringParts
from undertext.measures.recovery.works import less_steering, steering_works
from undertext.measures.trace.trails import split_by
from undertext.measures.trace.works import completion_work, continued_work, ends_work, tokens_work
from undertext.tasks.draws import drawn
from undertext.tasks.open import splits_to_report
from undertext.tasks.prompts import with_other_form
from undertext.tasks.task import Task
from undertext.tasks.work import answering, trial_of

GAP = "as many as the gap has problems"
ONE, EACH = (
    "measured where a checkpoint is the weaker one",
    "measured for each checkpoint that is a weaker one",
)
TUNED = "measured where the tuned checkpoint is the weaker one"
ALONE = "a text of one token predicts nothing, and is not read for the loss"
Steering = Callable[[Role, CompareConfig, Sequence[int]], SteeringParts]
"""The steering of a checkpoint as the weaker one, under a config and at these layers."""


def compare_draft(
    pair: Pair,
    tasks: Mapping[Role, Task],
    steering: Steering,
    config: CompareConfig,
    *,
    shared_tokens: bool,
    room: int,
    notes: Sequence[str] = (),
    given: Dictionaries | None = None,
) -> Draft:
    """A comparison before it begins."""

    splits = splits_to_report(tasks["base"], config.splits)
    own = steering("base", config, layers_of(pair.base, config.layers, config.max_layers))

    @cache  # tokens are looked up again and again under other settings, which most do not change
    def fixed(role: Role, splits: tuple[str, ...], layers: int) -> list[Work]:
        return _fixed(steering(role, config, own.layers), splits, layers, shared_tokens=shared_tokens)

    def works(config: CompareConfig) -> list[Work]:
        works = _works(pair, tasks, steering, fixed, config, shared_tokens=shared_tokens)
        if given is None or why_not_read(pair, shared_tokens=shared_tokens) is not None:
            return works
        judged = splits_to_report(tasks["base"], config.splits)
        return [*works, *_dictionaries(pair, tasks["base"], judged, config, given)]

    less: list[Mapping[str, Any]] = [*less_steering(own, splits)]
    if config.samples > 1:
        less.append({"samples": config.samples // 2})
    problems = [problem for split in splits for problem in tasks["base"].split(split)]
    trial = trial_of(pair.base, tasks["base"], problems, config.seed, config.batch_size)
    copies = int(not all(each.weights.make_room for each in pair))
    return Draft(works, trial, list(pair), less, room, list(notes), copies=copies)


def _works(
    pair: Pair,
    tasks: Mapping[Role, Task],
    steering: Steering,
    fixed: Callable[[Role, tuple[str, ...], int], list[Work]],
    config: CompareConfig,
    *,
    shared_tokens: bool,
) -> list[Work]:
    splits = splits_to_report(tasks["base"], config.splits)
    layers = layers_of(pair.base, config.layers, config.max_layers)

    def answers(split: str, why: str = "") -> list[Work]:
        return [
            answering(
                f"{role} on {split}", getattr(pair, role), tasks[role], tasks[role].split(split), why=why
            )
            for role in ROLES
        ]

    works = [work for split in splits for work in answers(split)]
    if not tasks["base"].names_values:
        works += [work for split in (FIT, CHOOSE) for work in answers(split, ONE)]
    by_role = []
    for role in ROLES:
        own = steering(role, config, layers)
        sampled = [
            answering(
                f"sampling on {split}",
                own.weaker,
                own.task,
                own.task.split(split),
                samples=config.samples,
                why=GAP,
            )
            for split in splits
        ]
        by_role.append(
            [
                *fixed(role, tuple(splits), len(layers)),
                *sampled,
                *_rephrased(own, splits),
                *_keys(own, splits, config),
                *steering_works(own, splits),
            ]
        )
    for of_base, of_tuned in zip(*by_role, strict=True):
        on_split = any(of_base.stage.endswith(f" on {split}") for split in splits)
        if on_split or len(splits) == 1:
            one = of_base.up_to(of_tuned)
            works.append(one._replace(why=one.why or ONE))
        else:
            both = of_base.and_also(of_tuned)
            works.append(both._replace(why=both.why or EACH))
    works += [
        answering(
            f"other weights on {split}", pair.tuned, tasks["tuned"], tasks["tuned"].split(split), why=TUNED
        ).and_also(answering("", pair.base, tasks["base"], tasks["base"].split(split)))
        for split in splits
    ]
    works += _traces(pair, tasks, splits, config)
    return works + _tokens(pair, tasks, splits, config, shared_tokens=shared_tokens)


def _rephrased(own: SteeringParts, splits: Sequence[str]) -> list[Work]:
    """Answers to problems in other words of their own."""
    works = []
    for split in splits:
        problems = own.task.split(split)
        work = Work(
            f"rephrased on {split}", 0, 0, why="of the task's paraphrases, where they fit the context"
        )
        if any(problem.paraphrases for problem in problems):
            with suppress(UserError):
                work = answering(work.stage, own.weaker, own.task, problems, prompts=other_words(problems))
        works.append(work)
    return works


def _dictionaries(
    pair: Pair, task: Task, splits: Sequence[str], config: CompareConfig, given: Dictionaries
) -> list[Work]:
    """Texts that are read through the SAE and through the crosscoder."""
    few, works = texts_for(task, splits, config), []
    if given.sae is not None:
        of_each = [
            encoding_work(
                SAE_STAGE,
                pair.base,
                few,
                [split],
                given.sae.sae.cfg.d_sae,
                times=len(pair) * passes,
                why=ALONE,
            )
            for split, passes in ((CHOOSE, PASSES_CHOOSE), (splits[0], PASSES_REPORT))
        ]
        kept = kept_activations(pair.base, few, [CHOOSE], len(pair))
        works.append(reduce(Work.and_also, of_each)._replace(kept=max(each.kept for each in of_each) + kept))
    if given.crosscoder is not None:
        both, points = [CHOOSE, splits[0]], len(given.crosscoder.points)
        width = given.crosscoder.encoders.shape[-1]
        work = encoding_work(CROSSCODER_STAGE, pair.base, few, both, width, times=len(pair))
        works.append(
            work._replace(kept=work.kept + len(pair) * kept_activations(pair.base, few, both, points))
        )
    return works


def _tokens(
    pair: Pair,
    tasks: Mapping[Role, Task],
    splits: Sequence[str],
    config: CompareConfig,
    *,
    shared_tokens: bool,
) -> list[Work]:
    if why_no_tokens(pair, tasks["base"], config) is not None:
        return []
    works = []
    for role in ROLES:
        checkpoint, task = getattr(pair, role), tasks[role]
        problems = [problem for split in splits for problem in read_of(task, split, config)]
        works.append(
            tokens_work(f"{role} reads outputs", checkpoint, task, problems, len(OUTPUTS), own=shared_tokens)
        )
    return works


def _traces(
    pair: Pair, tasks: Mapping[Role, Task], splits: Sequence[str], config: CompareConfig
) -> list[Work]:
    if not config.trace_problems or tasks["base"].grader.kind == "likelihood":
        return []
    works = []
    for role in ROLES:
        stage, checkpoint, task = f"{role}'s traces", getattr(pair, role), tasks[role]
        _, lead = split_by(task, FIT, config.steps, config.lead)
        parts = [ends_work(stage, checkpoint, task, drawn_of(task, split, config), lead) for split in splits]
        parts += [
            completion_work(stage, checkpoint, drawn_of(task, split, config))
            for split in dict.fromkeys([*splits, config.fresh])
        ]
        fresh = task.split(config.fresh)
        parts += [
            answering(stage, checkpoint, task, [fresh[j] for j in found])
            for split in splits
            if (found := fresh_of(task, split, config).fresh)
        ]
        works.append(reduce(Work.and_also, parts))
    return works


def _fixed(steering: SteeringParts, splits: Sequence[str], layers: int, *, shared_tokens: bool) -> list[Work]:
    """Of what is measured on one checkpoint as the weaker one, that which depends on no more than these."""
    weaker, stronger, task = steering.weaker, steering.stronger, steering.task
    assert stronger is not None, "a comparison has two checkpoints"
    of_stronger = steering.of_stronger or task
    readers = ((weaker, task), (stronger, of_stronger), (weaker, task))
    works = [
        own_work(weaker, task, splits, layers),
        other_work(weaker, stronger, task, of_stronger, splits, layers, shared_tokens=shared_tokens),
    ]
    if not task.names_values:
        works.append(right_work(weaker, stronger, task, of_stronger, splits, layers))
    works += [
        continued_work(f"steps on {split}", readers, split, shared_tokens=shared_tokens) for split in splits
    ]
    if task.grader.kind in NOT_GRADED:
        return works
    known = not task.names_values
    return works + [
        used_work(f"use on {split}", readers[:2], split, layers, MOST, known=known) for split in splits
    ]


def _keys(steering: SteeringParts, splits: Sequence[str], config: CompareConfig) -> list[Work]:
    weaker, stronger = steering.weaker, steering.stronger
    assert stronger is not None, "a comparison has two checkpoints"
    of_stronger = steering.of_stronger or steering.task
    task = with_other_form(steering.task, of_stronger, weaker)
    dev, theirs = (
        drawn(each.split(CHOOSE), config.seed, config.search_problems) for each in (task, of_stronger)
    )
    return key_works(weaker, stronger, task, of_stronger, dev, theirs, splits, config.seed)
