"""What `measure` would read and write."""

from collections.abc import Sequence
from typing import Any

from undertext.core.plan import Draft, Work, room_of
from undertext.core.setup import layers_of
from undertext.core.terms import CHOOSE, FIT
from undertext.jobs.measure.config import MeasureConfig
from undertext.jobs.measure.parts import Subject
from undertext.measures.decoding.works import FITTING
from undertext.measures.trace.along_works import (
    forced_work,
    gold_along,
    gold_changes,
    output_along,
    output_changes,
    shift_work,
)
from undertext.measures.trace.changes import UNCHANGED
from undertext.measures.trace.trails import gold_trails
from undertext.tasks.draws import drawn
from undertext.tasks.work import answering, tokens_of, trial_of

_FEW = "not read where train or dev holds too few right answers, or too few wrong ones"
_FLOAT = 4
"""Bytes of an activation that is kept."""


def measure_draft(
    subjects: Sequence[Subject],
    config: MeasureConfig,
    rule: str,
    lead: str,
    notes: Sequence[str],
    *,
    shifts: bool,
) -> Draft:
    """The job before it begins; `shifts` says whether token shift can be measured."""

    def works(config: MeasureConfig) -> list[Work]:
        together: dict[str, Work] = {}
        for subject in subjects:
            for work in _works(_fewer(subject, config), len(subjects), config, rule, lead):
                before = together.get(work.stage)
                together[work.stage] = work if before is None else before.and_also(work)
        found = list(together.values())
        if shifts and "shift" in config.wanted:
            base = _fewer(subjects[0], config)
            found.append(shift_work("token shift", base.checkpoint, base.task, base.problems))
        return found

    first = subjects[0]
    less: list[dict[str, Any]] = []
    if len(first.problems) > 3:
        less.append({"problems": len(first.problems) // 2})
    if "uncertainty" in config.wanted and config.fit_problems > 40:
        less.append({"fit_problems": config.fit_problems // 2})
    if len(config.wanted) > 1:
        less += [{"names": tuple(n for n in config.wanted if n != name)} for name in config.wanted]
    if "faithfulness" in config.wanted and len(config.changes) > 1:
        less.append({"changes": config.changes[:1]})
    trial = trial_of(first.checkpoint, first.task, first.problems, config.seed, config.batch_size)
    room = room_of(works(config))
    return Draft(works, trial, [each.checkpoint for each in subjects], less, room, notes)


def _fewer(subject: Subject, config: MeasureConfig) -> Subject:
    """The subject with as many problems as this config takes."""
    ids = {problem.id: i for i, problem in enumerate(subject.problems)}
    split = subject.problems[0].split
    problems = [
        each for each in drawn(subject.task.split(split), config.seed, config.problems) if each.id in ids
    ]
    worded = {
        i: subject.wordings[ids[problem.id]]
        for i, problem in enumerate(problems)
        if ids[problem.id] in subject.wordings
    }
    return Subject(subject.role, subject.checkpoint, subject.task, problems, worded)


def _works(subject: Subject, writers: int, config: MeasureConfig, rule: str, lead: str) -> list[Work]:
    """Of one checkpoint; there are so many `writers` of outputs."""
    role, checkpoint, task = subject.role, subject.checkpoint, subject.task
    problems, wanted = subject.problems, config.wanted
    gold = gold_trails(task, problems, rule)
    works = [answering(f"{role} answers", checkpoint, task, problems)]
    fitted = [drawn(task.split(split), config.seed, config.fit_problems) for split in (FIT, CHOOSE)]
    if "uncertainty" in wanted:
        works += [answering(f"{role} answers", checkpoint, task, some) for some in fitted]
    if "information" in wanted or "confidence" in wanted:
        stage = f"{role} along traces"
        of_outputs = output_along(stage, checkpoint, task, problems, lead, config.max_steps, task.problems)
        works += [of_outputs] * writers
        if gold:
            works.append(gold_along(stage, checkpoint, gold, lead, config.max_steps))
    if "faithfulness" in wanted:
        stage, changes = f"{role} after changes", (UNCHANGED, *config.made)
        works.append(output_changes(stage, checkpoint, task, problems, changes, lead, subject.wordings))
        if any(trail.steps for trail in gold.values()):
            works.append(
                gold_changes(
                    stage, checkpoint, task, problems, gold, changes, lead, config.seed, subject.wordings
                )
            )
    if "sensitivity" in wanted and subject.wordings:
        stage = f"{role} in other words"
        rows = [(problems[i], prompt) for i, prompts in subject.wordings.items() for prompt in prompts]
        asked = [prompt for _, prompt in rows]
        works.append(answering(stage, checkpoint, task, [each for each, _ in rows], prompts=asked))
        works.append(forced_work(stage, checkpoint, tokens_of(checkpoint, asked), task.max_new_tokens))
    if "uncertainty" in wanted:
        prompts = [problem.prompt for some in (*fitted, problems) for problem in some]
        layers = len(layers_of(checkpoint, config.layers, config.max_layers))
        kept = len(prompts) * layers * checkpoint.d_model * _FLOAT
        read = sum(tokens_of(checkpoint, prompts))
        works.append(Work(f"{role}'s uncertainty", len(prompts), read, why=_FEW, beside=FITTING, kept=kept))
    return works
