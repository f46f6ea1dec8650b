"""What `sae diff` would read and write."""

from typing import Any

from undertext.activations.pair import Pair
from undertext.core.plan import Draft, Work
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.measures.features.works import encoding_work, kept_activations
from undertext.tasks.draws import drawn
from undertext.tasks.task import Task
from undertext.tasks.work import answering, trial_of

_SCALED = "a checkpoint whose activations are as large as the other's is not read at their own size"
_TESTED = "of fewer features where fewer are alive"


def diff_draft(pair: Pair, task: Task, config: DiffConfig, latents: int, points: int) -> Draft:
    """The job before it begins, with so many latents; `points` are those of a crosscoder, 0 for an SAE."""

    def works(config: DiffConfig) -> list[Work]:
        splits = [config.choose, config.split]
        if points:
            encoded = encoding_work("encoding", pair.base, task, splits, latents, times=len(pair))
            kept = len(pair) * kept_activations(pair.base, task, splits, points)
            return [encoded._replace(kept=encoded.kept + kept)]
        norms = encoding_work("norms", pair.base, task, [config.choose], 0, times=len(pair))
        kept = kept_activations(pair.base, task, [config.choose], 1)
        encoded = encoding_work("encoding", pair.base, task, splits, latents, times=len(pair), why=_SCALED)
        again = encoding_work("encoding", pair.base, task, [config.split], latents)
        found = [norms._replace(beside="", kept=kept), encoded.and_also(again)]
        return [*found, _effects(pair, task, config)] if config.effects else found

    less: list[dict[str, Any]] = []
    if not points and config.effects:
        problems = min(config.effect_problems, len(task.split(config.split)))
        less = [{"effects": config.effects // 2}, {"controls": 1}]
        less += [{"effect_problems": problems // 2}] if problems > 1 else []
        less += [{"operators": (operator,)} for operator in config.operators[:1] if len(config.operators) > 1]
    problems_read = [*task.split(config.choose), *task.split(config.split)]
    trial = trial_of(pair.base, task, problems_read, config.seed, config.batch_size)
    return Draft(works, trial, list(pair), less)


def _effects(pair: Pair, task: Task, config: DiffConfig) -> Work:
    """Answers unchanged, with a feature changed, and with each control, by operator and checkpoint."""
    problems = drawn(task.split(config.split), config.seed, config.effect_problems)
    once = answering("effects on answers", pair.base, task, problems)
    times = len(dict.fromkeys(config.operators)) * len(pair) * config.effects * (2 + config.controls)
    return once._replace(
        rows=times * once.rows,
        read=times * once.read,
        written=times * once.written,
        why=_TESTED,
        shared=True,
        steered=True,
    )
