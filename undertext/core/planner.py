"""A job's draft made into its plan: rates measured, memory added up, and smaller settings beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.rope import rope_switches
from undertext.core.plan import Draft, Memory, Plan, Rates, Work
from undertext.core.rates import measure_rates

_AGAIN = "texts that grow past a switch of the rope are read again there, which is not counted"
_LESS = 0.95
"""Largest share of the time at which other settings are said to make a job smaller."""


def make_plan(job: str, config: BaseModel, draft: Draft) -> Plan:
    """Measure rates with the draft's checkpoint, and put together what they come to. Nothing is written."""
    works = list(draft.works(config))
    trial = draft.trial
    rates = measure_rates(trial, works)

    def seconds(some: Sequence[Work], length: float = 1.0) -> float:
        return sum(rates.of(work, trial.batch_size, length) for work in some)

    most = seconds(works)
    usual = None
    if rates.length is not None:
        usual = seconds(works, rates.length / trial.max_new_tokens)
    less: dict[str, float] = {}
    for other in draft.less:
        share = seconds(list(draft.works(config.model_copy(update=dict(other))))) / most if most else 1.0
        if share <= _LESS:
            less[", ".join(f"{name} {said(value)}" for name, value in other.items())] = share
    return Plan(
        job=job,
        settings=config.model_dump(mode="json"),
        works=works,
        rates=rates,
        most_s=most,
        usual_s=usual,
        memory=_memory(draft, works, rates),
        disk=draft.room,
        less=dict(sorted(less.items(), key=lambda each: each[1])),
        max_new_tokens=trial.max_new_tokens,
        batch_size=trial.batch_size,
        device=str(trial.checkpoint.device),
        notes=[*draft.notes, *([_AGAIN] if rope_switches(trial.checkpoint) else [])],
    )


def said(value: Any) -> str:
    """A setting's value as the command line takes it."""
    if isinstance(value, BaseModel):
        return str(value)
    if isinstance(value, Mapping):
        return " ".join(f"{key} {said(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(said, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _memory(draft: Draft, works: Sequence[Work], rates: Rates) -> Memory:
    batches = [
        min(draft.trial.batch_size, work.rows) * (work.longest + draft.trial.max_new_tokens)
        for work in works
        if work.written
    ]
    kept = max((work.kept for work in works), default=0)
    return Memory(_weights(draft.checkpoints, draft.copies), max(batches, default=0) * rates.cache, kept)


def _weights(checkpoints: Sequence[Checkpoint], copies: int) -> int:
    """Bytes of the weights that are in memory together, so many copies of the largest among them; those that
    share a room take turns."""
    sizes: dict[int, tuple[bool, int]] = {}
    for checkpoint in checkpoints:
        model = checkpoint.weights.modules
        tensors = {each.data_ptr(): each for each in [*model.parameters(), *model.buffers()] if each.numel()}
        size = sum(each.numel() * each.element_size() for each in tensors.values())
        sizes[id(model)] = checkpoint.weights.room is not None, size
    turns = max((size for shared, size in sizes.values() if shared), default=0)
    others = [size for shared, size in sizes.values() if not shared]
    return turns + sum(others) + copies * max([turns, *others])
